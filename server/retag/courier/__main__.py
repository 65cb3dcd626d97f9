"""`python -m retag.courier`: one errand, as a line of JSON on standard input."""

from retag.courier.worker import main

if __name__ == "__main__":
    main()
