"""Run the command line by ``python -m tomokit``."""

from tomokit.commands.app import main

if __name__ == "__main__":
    main()
