"""The courier: takes a finished export to a folder or a bucket, in a process of its own that ends with it.

So a slow disk or network, and the library that talks to the bucket, cost the door neither time nor memory,
and a courier that is killed has delivered the whole file or nothing.
"""
