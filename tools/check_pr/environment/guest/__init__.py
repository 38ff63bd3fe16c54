"""What runs inside a sandbox while a project is built or tested: standard library only, Python >= 3.9."""
