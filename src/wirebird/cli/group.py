"""The group of all commands. A command's module is imported when the command is used.

A new command is a file with a ``click.Command`` named ``command``, and a line in ``COMMANDS``.
"""

from __future__ import annotations

import importlib

import click

from ..version import version

__all__ = ["COMMANDS", "run", "wirebird"]

# Name, and what the list of commands says about it: to show the list, none is imported.
COMMANDS = {
    "connect": "Talk to a WebSocket server.",
    "doctor": "Say what Wirebird runs on here, and what is broken.",
    "run": "Serve an ASGI application, such as FastAPI's.",
    "serve": "Run the demonstration server: an echo, a room, and a page.",
}


class LazyGroup(click.Group):
    """Finds a command by importing the file of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in alphabetical order."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f".{cmd_name}", __package__).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version, "-V", "--version", message="wirebird %(version)s")
def wirebird() -> None:
    """WebSocket from the command line."""


def run(arguments: list[str] | None) -> int:
    """Run a command and return its exit code; see `wirebird.cli.main`."""
    try:
        result = wirebird.main(arguments, prog_name="wirebird", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("Aborted.", err=True)
        return 130
    return result if isinstance(result, int) else 0
