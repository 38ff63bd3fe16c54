"""What a pull request changes that tests do not tell."""
