"""What a person wrote, lab.toml and the recipe, becomes a lab: what all that follows is given.

config settings recipe      a TOML file, checked; lab.toml; a recipe
events session              a recipe's console, and its shell
addressee machine remote    lab.toml's tables of who is told, and of machines
base                        the image that is installed onto, or booted as it is
demo                        the demo OS's history: a repository of this package's own
tools binding lab           the recipe filled in; a lab
"""
