"""Asynchronous jobs: many files in one request, worked on by whichever replica is there.

    upload -> intake -> <storage>/<id>/ -> runner -> work -> result.zip -> webhook

Everything that is known of a job stands in its folder. A replica that dies loses nothing: its
lease on the job runs out, and another replica goes on with what is not committed yet.
"""
