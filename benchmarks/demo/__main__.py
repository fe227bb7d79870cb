"""python -m benchmarks.demo: try Farthing on one machine, in about five minutes.

  CLUSTER=local   where: a real control plane of this machine, without containers (the default)
  DEMO_KEEP=1     leave it running at the end, to look around
  NO_COLOR=1      no colors

Everything is taken down at the end, after Ctrl-C and after a failure; files stay in the cache only.
Exit codes: 0 fine, 1 error, 2 refused, 130 Ctrl-C.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from types import FrameType

from benchmarks.demo import errors, install, load, play, receipt, scenario, screen, settings, watch
from benchmarks.demo.settings import Settings

from farthing_local import errors as local_errors
from farthing_local import http_requests, progress


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _ended)
    try:
        chosen = settings.read(os.environ)
        with install.alone(chosen):
            return _demo(chosen)
    except errors.RefusedError as error:
        progress.say(f"Error: {error}")
        return 2
    except (errors.DemoError, local_errors.LocalClusterError) as error:
        progress.say(f"Error: {error}")
        return 1
    except KeyboardInterrupt:
        progress.say("Interrupted: everything was taken down. Run the same command again.")
        return 128 + signal.SIGINT


def _ended(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _demo(chosen: Settings) -> int:
    with install.owned(chosen):
        kubectl = install.bring_up(chosen)
        install.install_operator(kubectl)
        install.apply_examples(kubectl)
        final = _played(chosen, kubectl)
        print(f"\n{receipt.text(final)}\n", flush=True)
        problems = final.problems()
        if problems:
            raise errors.DemoError(
                f"The bill contradicts itself: {'; '.join(problems)}.",
                next_step=f"The logs of the pods are in {install.keep_logs(kubectl)}.",
            )
        if not chosen.keep:
            progress.say("Taking everything down.")
    print(_kept(chosen) if chosen.keep else _next_steps(), flush=True)
    return 0


def _played(chosen: Settings, kubectl: install.Kubectl) -> receipt.Receipt:
    try:
        return asyncio.run(_play(chosen, kubectl))
    except ExceptionGroup as group:
        # Tasks that fail together fail for one reason: the first says it.
        known = group.subgroup((errors.DemoError, local_errors.LocalClusterError))
        if known is None:
            raise
        raise _first(known) from None


def _first(group: Exception) -> Exception:
    return _first(group.exceptions[0]) if isinstance(group, ExceptionGroup) else group


async def _play(chosen: Settings, kubectl: install.Kubectl) -> receipt.Receipt:
    context = http_requests.client_context(kubectl.running.layout.pki)

    async def interrupt(node: str) -> str:
        return await asyncio.to_thread(install.interrupt, chosen.home, node)

    async with watch.ClusterApi(kubectl.running.server, context) as api:
        slo_ms = install.slo_ms(kubectl)
        stage = play.Stage(
            api=api,
            endpoints=tuple(
                [
                    load.Endpoint(
                        service=service,
                        url=load.infer_url(await api.address(service), service),
                    )
                    for service in (scenario.CHAT, scenario.EMBEDDER)
                ]
            ),
            slo_ms=slo_ms,
            prices=await api.prices(),
            scenario=scenario.DEMO,
            interrupt=interrupt,
        )
        with screen.opened() as opened:
            return await play.play(stage, opened.show, show_every_s=opened.every_s)


def _next_steps() -> str:
    return """\
Everything was taken down. What to look at next:
  DEMO_KEEP=1 make demo     the same, left running to look around
  less examples/chat.yaml   what a service declares
  .venv/bin/farthing plan -f examples -f manifests/overlays/local/pools.yaml
                            what it would cost, without a cluster
  make help                 everything else"""


def _kept(chosen: Settings) -> str:
    return f"""\
It goes on running. Look around:
  export FARTHING_LOCAL_HOME={shlex.quote(str(chosen.home))}
  export KUBECONFIG=$(.venv/bin/farthing local kubeconfig)
  .venv/bin/farthing status -A
  .venv/bin/farthing explain chat -n {scenario.NAMESPACE}
  .venv/bin/farthing local kubectl -- get pods,inferenceservices -n {scenario.NAMESPACE} -o wide
End it:
  {install.down_command(chosen)}"""


if __name__ == "__main__":
    sys.exit(main())
