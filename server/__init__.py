"""The MCP server, and all that the tools stand on."""
