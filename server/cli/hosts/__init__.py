"""The configuration of hosts: where it is, what proofbox is called there, and edits that leave the rest as it is."""
