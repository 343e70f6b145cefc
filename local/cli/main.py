"""The command's root: which commands there are, and how every one of them says that it could not."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from local.cli.literal import one_line

HELP = """\
Countersign: from a webhook to a grounded, cited reply that a person signs off.

\b
One terminal runs the whole product on this machine, no AWS account needed:
  countersign up
Another one works with it:
  countersign ask "How long do I have to approve a draft?"
  countersign approvals
  countersign approve c-3f9a

`countersign demo` shows one case from the signed webhook to the delivered reply. Commands that talk to a
running `up` find it by themselves; --url and --token (or COUNTERSIGN_URL and COUNTERSIGN_TOKEN) name another
deployment. --json prints one JSON document and nothing else. An id may be cut short as long as it is unique.

Exit status: 0 done, 1 it did not work, 2 the command line is wrong.
"""

# Name: (where it lives, what the list of commands says). A command is imported when it is called: the stack
# takes seconds to import, and a list of cases needs none of it.
COMMANDS = {
    "up": ("local.cli.up", "Run the whole product on this machine until Ctrl-C."),
    "demo": ("local.cli.demo", "Show one case from signed webhook to delivered reply."),
    "ask": ("local.cli.ask", "Open a case with a question and wait for its draft."),
    "send": ("local.cli.send", "Send an event, signed as its source signs."),
    "cases": ("local.cli.cases", "List the cases, newest first."),
    "case": ("local.cli.cases", "Show a case: timeline, draft, citations, review, cost."),
    "approvals": ("local.cli.cases", "List what waits for a decision."),
    "approve": ("local.cli.decide", "Approve a draft: it is sent as it stands."),
    "edit": ("local.cli.decide", "Approve with your own text in place of the draft."),
    "respond": ("local.cli.decide", "Send a draft back with feedback."),
    "reject": ("local.cli.decide", "Reject a draft: nothing is sent."),
    "failures": ("local.cli.redrive", "List what waits for an operator: failed cases, dead letters."),
    "redrive": ("local.cli.redrive", "Run failed cases again; put dead letters back on their queues."),
    "reconcile": ("local.cli.reconcile", "Account for every accepted event, and repair what is lost."),
    "destinations": ("local.cli.destinations", "List what nothing is sent to, and turn it on again."),
    "limits": ("local.cli.limits", "Show today's budget, which cases draft, and which wait."),
    "forget": ("local.cli.forget", "Erase the text of a case, and keep who did what."),
    "search": ("local.cli.knowledge", "Search the knowledge that replies rest on."),
    "ingest": ("local.cli.knowledge", "Add documents to the knowledge."),
    "invoke": ("local.cli.invoke", "Call one function with a sample event."),
    "bench": ("local.bench.command", "Measure speed, calls, transitions, imports and memory."),
}


class Commands(click.Group):
    """A group whose commands are imported late and whose errors are one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's interface)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, says) for name, (_, says) in COMMANDS.items()])

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> NoReturn:
        """Run a command and exit: 0, or what its error says, with one line on standard error."""
        options["standalone_mode"] = False
        try:
            status = super().main(args, *rest, **options)
        except click.ClickException as error:
            click.echo(_sentence(error), err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            click.echo("stopped", err=True)
            sys.exit(130)
        sys.exit(status if isinstance(status, int) else 0)


@click.group(cls=Commands, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="countersign")
def main() -> None:
    """The entry point of `countersign`."""


def _sentence(error: click.ClickException) -> str:
    message = one_line(error.format_message()).rstrip(".")
    first = message.split(" ", 1)[0]
    if first == first.capitalize():  # GITHUB_TOKEN and GitHub keep their names
        message = message[:1].lower() + message[1:]
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return f"countersign: {message}"
    return f"{error.ctx.command_path}: {message} (see {error.ctx.command_path} --help)"
