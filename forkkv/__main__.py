"""`python -m forkkv` is the command `forkkv`."""

from forkkv.cli import main

if __name__ == "__main__":
    main(prog_name="forkkv")
