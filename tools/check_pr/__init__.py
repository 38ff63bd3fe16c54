"""check_pr: a pull request is run at its base and at its head, and what changed is told with evidence.

`pull` gets the two trees and their difference, `environment` what they need installed, `evidence` runs the
tests of both and compares, `beyond` and `performance` look at what tests do not tell, and `review` writes
it down. Nothing here writes to where the pull request came from; `acting` does, and only the command
line and the webhook use it.
"""
