"""What was installed is booted and judged.

console judge               a serial console as named events, and what they come to
tester typist way           who runs a test: init, or somebody who types; which a lab wants
tester_outside              the same from outside: ssh, this host
watch testbed               booted, and watched until something decides
rates verdict trial         what was found is kept; a kernel tested as often as the lab says
"""
