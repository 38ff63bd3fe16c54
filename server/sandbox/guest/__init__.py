"""What runs inside a sandbox. Standard library only, Python >= 3.9; IPython where it is installed."""
