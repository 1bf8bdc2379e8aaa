"""Another machine, on which a build is a guest.

ssh reach                   the way to it
site listing parcel         its trees, what is in them, and files that travel
remote_script               the shell text for that
guest_disk remote_folder    where the trees lie there: on a disk, or in a folder
guest                       the steps run there, what they leave comes here
"""
