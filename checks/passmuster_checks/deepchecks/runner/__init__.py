"""The program that runs Deepchecks' checks in their own environment: a request in, a line of JSON for each check out.

Called as `python -m runner REQUEST ANSWERS`, with this folder's parent on the path. It needs deepchecks, pandas and
pyarrow and imports nothing of passmuster; `client.py` writes the request and believes an answer only after checking it.
Every check ends as `ran` (with its conditions), `error` or `not-applicable`; what Deepchecks itself would let through
unmeasured is an error here.
"""
