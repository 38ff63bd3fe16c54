"""What is sent into a sandbox to run tests there: standard library and pytest only, Python >= 3.9.

`driver` is a program's cell, in a process that no test code enters. The other modules live in the
process of the tests, as the package `proofbox_guest`, loaded from memory.
"""
