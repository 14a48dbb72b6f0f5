"""`veilleur enrol` as a command; what it does is `enrol_command`."""

import asyncio
import sys
from pathlib import Path

import click


@click.command()
@click.argument("code")
@click.option("--config", type=click.Path(path_type=Path), default=Path("/etc/veilleur/agent.toml"), show_default=True)
@click.option("--state", type=click.Path(path_type=Path), default=Path("/var/lib/veilleur"), show_default=True)
@click.option("--new-keys", is_flag=True, help="After a revocation. / Après une révocation.")
@click.option("--unattended", is_flag=True, help="The nurse alone compares. / L'infirmière seule compare.")
@click.pass_context
def enrol(ctx: click.Context, code: str, config: Path, state: Path, *, new_keys: bool, unattended: bool) -> None:
    """Join the team that gave the code 'VEILLEUR:…'. / Rejoindre l'équipe qui a donné le code."""
    # Imported when it runs: no other command waits for it.
    from agent.enrol_command import EnrolRequest, run_enrolment  # noqa: PLC0415
    from agent.enrolment_errors import nobody_here  # noqa: PLC0415
    from agent.terminal import Terminal  # noqa: PLC0415

    if not unattended and not sys.stdin.isatty():
        raise nobody_here()
    request = EnrolRequest(code=code, config=config, state=state, new_keys=new_keys, unattended=unattended)
    terminal = Terminal(lang=ctx.find_root().params["lang"], interactive=not unattended)
    asyncio.run(run_enrolment(request, terminal))
