"""A parser of the command line that reports an error in one line."""

from fno_lightning.parser.parser import OTHER_COMMANDS, TRACEBACK, Parser

__all__ = ["OTHER_COMMANDS", "TRACEBACK", "Parser"]
