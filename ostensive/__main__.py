"""`python -m ostensive`."""

from ostensive.cli import main

if __name__ == "__main__":
    main()
