"""The E2B-free backend: a bubblewrap jail on this machine (Linux)."""
