"""What 1,000 runs in flight cost one worker and one AWS account: no thread, no memory, not one call
more.

`python -m bench.runs_in_flight` starts PostgreSQL, Redis, the lab's AWS, one worker and one ticker
as `make demo` does, and leads 10, then 100, then 1,000 runs through the real saga to where they
wait for VPC origins: 20 distributions times 50 paths, 20 targets, one account. (From the second
hundred on, the first step is written down as done: it is one look at AWS and no waiting, and would
cost a minute.) The lab's clock stands still, so they wait until it is stepped; then all are brought
to their end. The pace is that of real AWS but for the sweep, which comes
every two seconds, as it does around the usual end of a wait, so that it is counted soon. Controls,
in the same run: a poller that asks for each waiting run by itself at the same interval, and a
Celery worker that holds the same number of tasks with a countdown. Only ratios mean anything. Exit
code 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from stack.processes import launched
from stack.product import Stack

ROOT = Path(__file__).resolve().parent.parent
ACCOUNT = "777788889999"
PLACES = 20
"""Distributions, and targets."""

SWEEP_SECONDS = 2.0
WINDOW_SECONDS = {10: 8.0, 100: 8.0, 1000: 30.0}
WHOLE_WAY = 100
"""So many runs go through the first step, too."""

PATIENCE = 600.0
"""Seconds after which the whole measurement gives up."""

GOAL_CALLS = 1.5
GOAL_NAIVE = 50.0
GOAL_EXTRA_SECONDS = 2.0
GOAL_MEMORY = 0.25
GOAL_SLOPE = 1.0
GOAL_RUNS_PER_WRITE = 10.0
GOAL_AT_WORK = 0.5
"""Of four threads. One that slept for a run would be at work in every sample; the safety net's
looks, every two minutes for each run, are a fifth of a thread for a thousand.
"""
MIB = 1 << 20


@dataclass
class Row:
    """What was seen while so many runs waited. Calls per minute; MiB; MiB per minute; percent of
    one core; threads at work, the mean of the samples.
    """

    runs: int
    calls: float
    naive: float
    uss: float
    slope: float
    cpu: float
    at_work: float


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--runs", type=int, default=1000, help="the last and largest number of waiting runs"
    )
    most = parser.parse_args().runs
    settings = {
        "LAB_TIME_SCALE": "0",
        "PROVISIONING_TICK_SECONDS": "1",
        "PROVISIONING_LEASE_SECONDS": "60",
        "PROVISIONING_SWEEP_SECONDS": f"{SWEEP_SECONDS:g}",
        # Counted, but out of the way: a hundred runs are not started in a minute on real AWS.
        "CLOUDFRONT_CALLS_PER_SECOND": "1000",
    }
    parts = ("postgres", "redis", "aws", "provisioning-worker", "ticker")
    with tempfile.TemporaryDirectory(prefix="edge-portal-bench-") as directory:
        state = Path(directory)
        with Stack(
            state, time_scale=1, parts=parts, durable=False, settings=settings, say=print
        ) as stack:
            os.environ.update(stack.env | {"DJANGO_SETTINGS_MODULE": "portal.settings"})
            return Bench(stack, most).measure()


class Bench:
    """The measurement, from an empty account to the last run's end."""

    def __init__(self, stack: Stack, most: int) -> None:
        self.stack, self.most = stack, most
        self.began = time.monotonic()
        self.worker = psutil.Process(stack.pid("provisioning-worker"))
        self.rows: list[Row] = []
        self.failed: list[str] = []

    def measure(self) -> int:
        """1. Waiting runs, 10, 100, most: calls, memory, idleness, each with the naive poller.
        2. One more run while they wait; what a poll and a tick cost.
        3. The same number of countdowns in a stock worker.
        4. AWS is done: all runs to their end.
        """
        import django

        django.setup()
        self.site = Site(self.stack.env["AWS_ENDPOINT_URL"], self.most + 1)
        self.say(
            f"an account with {PLACES} distributions and {PLACES} targets, {self.most + 1} plans"
        )
        started = 0
        for count in sorted({10, 100, self.most}):
            before = time.monotonic()
            self.site.start(range(started, count))
            # Called at once
            self.until(lambda: self.site.waiting() == count, f"{count} runs wait")  # noqa: B023
            self.say(
                f"{count} runs wait ({(count - started) / (time.monotonic() - before):.0f} "
                "per second)"
            )
            started = count
            self.rows.append(self.watch(count))
        before = time.monotonic()
        self.site.start(range(self.most, self.most + 1))
        self.until(lambda: self.site.waiting() == self.most + 1, "one more run waits")
        extra = time.monotonic() - before
        self.say(f"one more run was led to where it waits in {extra:.2f} s")
        poll, tick = self.site.poll_milliseconds(), self.site.tick_milliseconds()
        countdown = self.countdown_bytes()
        drained, writes = self.drain()
        return self.report(extra, poll, tick, countdown, drained, writes)

    def watch(self, count: int) -> Row:
        """From one sweep to another: calls, memory, CPU and busy threads of the worker."""
        from portal.celery import app

        window = WINDOW_SECONDS.get(count, 20.0)
        # The first sweep after the last start, and whatever starting left in the worker.
        self.next_sweep()
        self.next_sweep()
        calls, began, cpu = self.site.calls(), time.monotonic(), self.worker.cpu_times()
        samples = []
        at_work = []
        while time.monotonic() - began < window:
            samples.append((time.monotonic() - began, self.worker.memory_full_info().uss))
            active = app.control.inspect(timeout=0.5, limit=1).active() or {}
            at_work.append(sum(len(tasks) for tasks in active.values()))
            time.sleep(0.5)
        self.next_sweep()
        seconds = time.monotonic() - began
        asked = sum(self.site.calls().values()) - sum(calls.values())
        spent = self.worker.cpu_times()
        busy = spent.user + spent.system - cpu.user - cpu.system
        naive = self.site.naive_round() * 60 / SWEEP_SECONDS
        uss = statistics.median(size for _, size in samples) / MIB
        slope = statistics.linear_regression(*zip(*samples, strict=True)).slope * 60 / MIB
        return Row(
            count,
            asked * 60 / seconds,
            naive,
            uss,
            slope,
            100 * busy / seconds,
            statistics.mean(at_work),
        )

    def countdown_bytes(self) -> float:
        """Bytes that a Celery worker keeps for each task with a countdown, between 10 and the same
        number of them.
        """
        import redis

        os.environ["COUNTDOWN_BROKER"] = broker = (
            self.stack.env["REDIS_URL"].removesuffix("/0") + "/1"
        )
        from bench.countdown import wait

        queue = redis.Redis.from_url(broker)
        with _countdown_worker(broker) as process:
            sizes = []
            for count in (10, self.most - 10):
                for _ in range(count):
                    wait.apply_async(countdown=900)
                self.until(lambda: not queue.llen("countdown"), "the countdowns are taken")
                time.sleep(2)
                sizes.append(process.memory_full_info().uss)
        self.say("the control held its countdowns")
        return (sizes[1] - sizes[0]) / (self.most - 20)

    def drain(self) -> tuple[float, int]:
        """Seconds, and UpdateDistribution calls, until all are done; AWS deploys whenever nobody
        has anything to do.
        """
        from django.utils import timezone

        before, calls = time.monotonic(), self.site.calls()
        self.site.step(1300)
        while (left := self.site.active_runs().count()) > 0:
            soon = timezone.now() + timedelta(seconds=30)
            if not self.site.active_runs().filter(due_at__lte=soon).exists():
                self.site.step(1300)
            self.in_time(f"all are done ({left} are not)")
            time.sleep(0.5)
        seconds = time.monotonic() - before
        spent = {name: number - calls.get(name, 0) for name, number in self.site.calls().items()}
        told = ", ".join(f"{number} {name}" for name, number in sorted(spent.items()) if number)
        self.say(f"all {self.most + 1} ended in {seconds:.0f} s with {told}")
        return seconds, spent["UpdateDistribution"]

    def report(
        self, extra: float, poll: float, tick: float, countdown: float, drained: float, writes: int
    ) -> int:
        """The table, the ratios to the controls, and which goals were met."""
        few, many = self.rows[0], self.rows[-1]
        print(
            f"\n{'waiting':>8}{'calls/min':>11}{'naive/min':>11}{'ratio':>8}{'USS MiB':>9}"
            f"{'MiB/min':>9}{'CPU %':>7}{'at work':>9}"
        )
        for row in self.rows:
            print(
                f"{row.runs:>8}{row.calls:>11.1f}{row.naive:>11.0f}{row.naive / row.calls:>8.1f}"
                f"{row.uss:>9.1f}{row.slope:>9.2f}{row.cpu:>7.1f}{row.at_work:>9.2f}"
            )
        # The first hundred also fill what a worker keeps anyway: clients, models, arenas of its
        # threads.
        warm = self.rows[-2]
        each = (many.uss - warm.uss) * MIB / (many.runs - warm.runs)
        print(
            f"\na poll of a waiting run {poll:.1f} ms, a tick with {many.runs} waiting "
            f"{tick:.1f} ms (medians)"
        )
        print(
            f"memory per waiting run {each:,.0f} bytes; per Celery countdown {countdown:,.0f} bytes"
        )
        done = self.site.done()
        print(
            f"{done} of {self.most + 1} done {drained:.0f} s after AWS was, with {writes} "
            "UpdateDistribution calls"
        )
        goals = {
            f"calls at {many.runs} at most {GOAL_CALLS:g} times those at {few.runs}": many.calls
            / few.calls
            <= GOAL_CALLS,
            f"the poller's at least {GOAL_NAIVE:g} times": many.naive / few.naive
            >= GOAL_NAIVE * many.runs / 1000,
            f"one more run within {GOAL_EXTRA_SECONDS:g} s": extra <= GOAL_EXTRA_SECONDS,
            f"at most {GOAL_AT_WORK:g} of a thread at work": many.at_work <= GOAL_AT_WORK,
            f"memory per run at most {GOAL_MEMORY:g} of a countdown's": each
            <= GOAL_MEMORY * countdown,
            f"memory grows by at most {GOAL_SLOPE:g} MiB per minute": many.slope <= GOAL_SLOPE,
            "every run is done": done == self.most + 1,
            f"at least {GOAL_RUNS_PER_WRITE:g} runs per UpdateDistribution": done / max(writes, 1)
            >= GOAL_RUNS_PER_WRITE,
        }
        for goal, met in goals.items():
            print(f"goal: {goal}: {'met' if met else 'MISSED'}")
        return 0 if all(goals.values()) else 1

    def next_sweep(self) -> None:
        last = self.site.last_sweep()
        self.until(lambda: self.site.last_sweep() != last, "another sweep")

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Look until it is so. The portal is never waited for without an end."""
        while not true():
            self.in_time(what)
            time.sleep(0.05)

    def in_time(self, what: str) -> None:
        """Give up when it takes too long."""
        if time.monotonic() - self.began > PATIENCE:
            raise SystemExit(f"gave up after {PATIENCE:.0f} s, before: {what}")

    def say(self, line: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {line}", flush=True)


class Site:
    """One account of the lab with what runs need, and the rows of the portal about it."""

    def __init__(self, url: str, most: int) -> None:
        from provisioning.models import AwsAccount

        self.url = url
        self.account = AwsAccount.objects.create(
            account_id=ACCOUNT, name="Bench", role_arn=f"arn:aws:iam::{ACCOUNT}:role/edge-portal"
        )
        clients = _Clients(url)
        self.cloudfront = clients.cloudfront
        targets = clients.targets()
        distributions = [clients.distribution(number) for number in range(PLACES)]
        self.step(1300)
        looks = []
        for target, distribution in zip(targets, distributions, strict=True):
            while held := (seen := self.account.snapshot_for(target, distribution)).held_back:
                time.sleep(held.turn_in_seconds or 0.0)
            looks.append(seen)
        self.plans = []
        for number in range(most):
            place, path = number % PLACES, number // PLACES
            seen = replace(looks[(place + path) % PLACES], distribution=looks[place].distribution)
            self.plans.append(_plan(number, seen))

    def start(self, numbers: range) -> None:
        """What approvals do: a run for each plan, all in a moment."""
        from django.db import transaction
        from django.utils import timezone

        from provisioning.actions import start_create
        from provisioning.models import JournalEntry

        now = timezone.now()
        with transaction.atomic():
            for number in numbers:
                endpoint_id, plan = self.plans[number]
                run = start_create(
                    endpoint=None,
                    endpoint_id=endpoint_id,
                    owner="bench",
                    plan_data=plan,
                    stream=f"bench:{number}",
                    now=now,
                )
                if len(numbers) > 1 and number >= WHOLE_WAY:
                    JournalEntry.objects.create(
                        run=run,
                        seq=1,
                        step="approved-plan",
                        kind="ready",
                        direction="forward",
                        at=now,
                        since=now,
                    )

    def waiting(self) -> int:
        from provisioning.models import Run

        over = Run.objects.exclude(state__in=Run.ACTIVE).values_list("stream", "failure").first()
        if over is not None:
            raise SystemExit(f"a run did not wait but ended: {over}")
        return Run.objects.filter(
            state=Run.State.WAITING, watch__isnull=False, lease_until__isnull=True
        ).count()

    def active_runs(self) -> Any:
        from provisioning.models import Run

        return Run.objects.active()

    def done(self) -> int:
        from provisioning.models import Run

        return Run.objects.filter(state=Run.State.DONE).count()

    def last_sweep(self) -> Any:
        self.account.refresh_from_db()
        if self.account.last_sweep_error:
            raise SystemExit(f"a sweep failed: {self.account.last_sweep_error}")
        return self.account.last_sweep_at

    def calls(self) -> dict[str, int]:
        """CloudFront calls that the lab has answered, by operation."""
        return dict(self._lab("calls")["cloudfront"])

    def step(self, seconds: float) -> None:
        """AWS's time goes on."""
        self._lab("clock", {"advance_seconds": seconds})

    def _lab(self, path: str, document: dict[str, float] | None = None) -> Any:
        body = json.dumps(document).encode() if document else None
        # Loopback
        with urllib.request.urlopen(f"{self.url}/_lab/{path}", data=body, timeout=30) as reply:  # noqa: S310
            return json.loads(reply.read())

    def naive_round(self) -> int:
        """Ask for each waiting run by itself, once. How many calls that was, as the lab counts."""
        from provisioning.models import Run

        ids = Run.objects.filter(state=Run.State.WAITING).values_list("watch__aws_id", flat=True)
        before = self.calls().get("GetVpcOrigin", 0)
        for aws_id in ids:
            self.cloudfront.get_vpc_origin(Id=aws_id)
        return self.calls()["GetVpcOrigin"] - before

    def poll_milliseconds(self) -> float:
        """What it costs to attend to a run that still has to wait: the worker's own code, timed
        here.
        """
        from django.utils import timezone

        from provisioning import runner
        from provisioning.models import Run
        from provisioning.sagas import SAGAS

        spent = []
        for run_id in Run.objects.filter(state=Run.State.WAITING).values_list("pk", flat=True)[
            :100
        ]:
            Run.objects.filter(pk=run_id).update(due_at=timezone.now())
            before = time.perf_counter()
            lease = runner.claim(run_id, holder="bench", now=timezone.now(), seconds=60)
            if lease is not None:
                runner.advance(lease, SAGAS[lease.run.saga], clock=timezone.now, pace=1)
                spent.append(time.perf_counter() - before)
        return 1000 * statistics.median(spent)

    def tick_milliseconds(self) -> float:
        """What a tick costs that finds nothing due among all that wait."""
        from django.utils import timezone

        from provisioning.tasks import tick

        spent = []
        for _ in range(20):
            before = time.perf_counter()
            tick(timezone.now())
            spent.append(time.perf_counter() - before)
        return 1000 * statistics.median(spent)


def _plan(number: int, snapshot: Any) -> tuple[Any, dict[str, Any]]:
    import uuid

    from provisioning.plan.path_ownership import PathRights
    from provisioning.plan.planner import make_plan
    from provisioning.spec.parsing import complete_answers, parse_spec

    answers = {
        "name": f"bench-{number}",
        "account_id": ACCOUNT,
        "distribution_id": snapshot.distribution.id,
        "target_arn": snapshot.target.arn,
        "path_patterns": [f"/ws/{number}"],
    }
    endpoint_id = uuid.uuid4()
    spec = parse_spec(complete_answers(answers, snapshot.target.listener_protocols()))
    plan = make_plan(
        spec,
        snapshot,
        endpoint_key=endpoint_id.hex[:12],
        owner="edge-portal",
        rights=PathRights("chat"),
    )
    return endpoint_id, plan.to_dict()


class _Clients:
    """boto3 clients of the account, and the making of what a team would have."""

    def __init__(self, url: str) -> None:
        import boto3

        make: Any = boto3.client
        sts = make("sts", endpoint_url=url)
        role = f"arn:aws:iam::{ACCOUNT}:role/edge-portal"
        given = sts.assume_role(RoleArn=role, RoleSessionName="bench")["Credentials"]
        keys = {
            "endpoint_url": url,
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }
        self.cloudfront, self.ec2, self.elbv2 = (
            make(name, **keys) for name in ("cloudfront", "ec2", "elbv2")
        )

    def targets(self) -> list[str]:
        """ARNs of internal load balancers that CloudFront may reach, each with a listener on 80."""
        vpc = self.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            self.ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"us-east-1{zone}"
            )["Subnet"]["SubnetId"]
            for number, zone in ((8, "a"), (9, "b"))
        ]
        gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        group = self.ec2.create_security_group(GroupName="alb", Description="alb", VpcId=vpc)[
            "GroupId"
        ]
        named = [
            {
                "Name": "prefix-list-name",
                "Values": ["com.amazonaws.global.cloudfront.origin-facing"],
            }
        ]
        listed = self.ec2.describe_managed_prefix_lists(Filters=named)["PrefixLists"][0][
            "PrefixListId"
        ]
        rule = {
            "IpProtocol": "tcp",
            "FromPort": 80,
            "ToPort": 80,
            "PrefixListIds": [{"PrefixListId": listed}],
        }
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        return [self._target(number, vpc, subnets, group) for number in range(PLACES)]

    def _target(self, number: int, vpc: str, subnets: list[str], group: str) -> str:
        made = self.elbv2.create_load_balancer(
            Name=f"int-{number}",
            Subnets=subnets,
            SecurityGroups=[group],
            Scheme="internal",
            Type="application",
        )["LoadBalancers"][0]["LoadBalancerArn"]
        behind = self.elbv2.create_target_group(
            Name=f"app-{number}", Protocol="HTTP", Port=8080, VpcId=vpc, TargetType="ip"
        )["TargetGroups"][0]["TargetGroupArn"]
        forward = [{"Type": "forward", "TargetGroupArn": behind}]
        self.elbv2.create_listener(
            LoadBalancerArn=made, Protocol="HTTP", Port=80, DefaultActions=forward
        )
        return str(made)

    def distribution(self, number: int) -> str:
        """Id of a distribution with a custom origin."""
        origin = {
            "Id": "web",
            "DomainName": "web.example.com",
            "CustomOriginConfig": {
                "HTTPPort": 80,
                "HTTPSPort": 443,
                "OriginProtocolPolicy": "http-only",
            },
        }
        behavior = {
            "TargetOriginId": "web",
            "ViewerProtocolPolicy": "https-only",
            "CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
        }
        config = {
            "CallerReference": f"bench-{number}",
            "Comment": f"bench {number}",
            "Enabled": True,
            "Origins": {"Quantity": 1, "Items": [origin]},
            "DefaultCacheBehavior": behavior,
        }
        return str(
            self.cloudfront.create_distribution(DistributionConfig=config)["Distribution"]["Id"]
        )


@contextmanager
def _countdown_worker(broker: str) -> Iterator[psutil.Process]:
    """A stock Celery worker with the product's options."""
    command = [
        *(
            sys.executable,
            "-m",
            "celery",
            "-A",
            "bench.countdown",
            "worker",
            "--pool",
            "threads",
            "--concurrency",
            "4",
        ),
        *(
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "-l",
            "error",
            "-Q",
            "countdown",
        ),
    ]
    environment = os.environ | {"COUNTDOWN_BROKER": broker, "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        launched(command, death_signal=signal.SIGKILL),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        # It would wait for its countdowns if asked politely.
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
