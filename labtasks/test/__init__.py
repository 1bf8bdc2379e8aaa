"""What was installed is booted and judged.

console judge               a serial console as named events, and what they come to
typist tester errand way    who runs a test: init, a typist, ssh, this host
watch testbed               booted, and watched until something decides
verdict trial               what was found is kept; a kernel tested as often as the lab says
"""
