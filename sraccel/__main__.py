"""`python -m sraccel`: the command line of this environment's sraccel."""

from sraccel.cli import main

if __name__ == "__main__":
    main()
