"""Four eyes for everybody who ever edited a request, not only for the last: in the row, and in the database's own rule."""

from django.db import migrations, models

REMEMBER = "UPDATE portal_endpointrequest SET editor_ids = jsonb_build_array(last_editor_id)"

FORWARD = """
CREATE OR REPLACE FUNCTION portal_approval_four_eyes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked portal_endpointrequest%ROWTYPE;
BEGIN
    SELECT * INTO STRICT asked FROM portal_endpointrequest WHERE id = NEW.request_id FOR UPDATE;
    IF NEW.decider_id IN (asked.requester_id, asked.beneficiary_id, asked.last_editor_id)
        OR asked.editor_ids @> to_jsonb(NEW.decider_id) THEN
        RAISE EXCEPTION 'four eyes: the decider asked for, benefits from or edited request %', asked.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_four_eyes';
    END IF;
    IF NEW.plan_digest IS DISTINCT FROM asked.plan_digest OR NEW.revision IS DISTINCT FROM asked.revision THEN
        RAISE EXCEPTION 'the decision is about another plan than that of request %', asked.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_bound_to_plan';
    END IF;
    RETURN NEW;
END $$;
"""

BACKWARD = """
CREATE OR REPLACE FUNCTION portal_approval_four_eyes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked portal_endpointrequest%ROWTYPE;
BEGIN
    SELECT * INTO STRICT asked FROM portal_endpointrequest WHERE id = NEW.request_id FOR UPDATE;
    IF NEW.decider_id IN (asked.requester_id, asked.beneficiary_id, asked.last_editor_id) THEN
        RAISE EXCEPTION 'four eyes: the decider asked for, benefits from or edited request %', asked.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_four_eyes';
    END IF;
    IF NEW.plan_digest IS DISTINCT FROM asked.plan_digest OR NEW.revision IS DISTINCT FROM asked.revision THEN
        RAISE EXCEPTION 'the decision is about another plan than that of request %', asked.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_bound_to_plan';
    END IF;
    RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("portal", "0003_follow_fault")]
    operations = [
        migrations.AddField("endpointrequest", "editor_ids", models.JSONField(blank=True, default=list)),
        migrations.RunSQL(REMEMBER, migrations.RunSQL.noop),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
