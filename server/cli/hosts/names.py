"""What hosts are called on the command line, apart from what is known of them, which takes longer to import."""

HOST_NAMES = ("claude-desktop", "claude-code", "cursor", "vscode", "codex")
