"""`python -m retag`: the command line."""

from retag.cli import main

if __name__ == "__main__":
    main()
