"""Registers an AWS account that the portal may work in."""

from __future__ import annotations

import re
import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from provisioning.models import AwsAccount


class Command(BaseCommand):
    help = (
        "Register an AWS account and the role to assume there. Prints the ExternalId that the "
        "role has to name."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account_id", help="twelve digits")
        parser.add_argument("name", help="what people call it")
        parser.add_argument("--region", default="us-east-1", help="where its load balancers are")
        parser.add_argument(
            "--role",
            default="edge-portal",
            help="name of the role to assume; '' for the portal's own",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        account_id = options["account_id"]
        if not re.fullmatch(r"[0-9]{12}", account_id, re.ASCII):
            raise CommandError("An account id has twelve digits.")
        role = f"arn:aws:iam::{account_id}:role/{options['role']}" if options["role"] else ""
        account, made = AwsAccount.objects.get_or_create(
            account_id=account_id,
            defaults={
                "name": options["name"],
                "region": options["region"],
                "role_arn": role,
                "external_id": secrets.token_urlsafe(24) if role else "",
            },
        )
        if not made:
            raise CommandError(f"{account} is registered already.")
        self.stdout.write(f"{account} is registered.")
        if role:
            self.stdout.write(
                f"Role:       {role}\nExternalId: {account.external_id}\nPermissions: "
                "docs/iam-policy.json"
            )
