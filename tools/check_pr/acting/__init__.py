"""Telling GitHub what came out: the only part of check_pr that writes anywhere, and only where a person
asked for it on the command line. No tool imports it.
"""
