"""Which bytes are really a picture that a model's host takes."""

# A host that gets something else under a picture's type refuses the whole conversation.
_MAGIC = (
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF87a"),
    ("image/gif", b"GIF89a"),
)


def picture_type(content: bytes) -> str | None:
    """The MIME type of PNG, JPEG, GIF or WebP by the first bytes, None for everything else."""
    for mime_type, magic in _MAGIC:
        if content.startswith(magic):
            return mime_type
    webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    return "image/webp" if webp else None
