"""`python -m retag.press DATABASE FOLDER`: the worker, which the server starts."""

import sys

from retag.press.worker import main

if __name__ == "__main__":
    main(*sys.argv[1:3])
