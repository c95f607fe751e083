"""`python -m cscelab`, as under torchrun or where no script is on the path."""

from cscelab.cli import main

if __name__ == "__main__":
    main()
