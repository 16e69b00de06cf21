"""Many images from one place to another, on Ray Data: see `run` for the way of a run.

    inputs -> plan (ledger) -> Ray Data: read, prepare, predict, finish, write -> ledger, report

Outputs appear whole or not at all, and the ledger in `DST/.cvunet` says whose they are: a run that
is broken off at any moment goes on where it was.
"""
