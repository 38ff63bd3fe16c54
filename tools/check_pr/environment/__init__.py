"""What the two sides of a pull request need installed, resolved before anything is."""
