"""Four eyes in the database: a decision by somebody who asked, benefits or edited cannot be stored, nor one on another plan.

Decisions are also append-only: UPDATE and DELETE are refused.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION portal_approval_four_eyes() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER approval_four_eyes BEFORE INSERT ON portal_approval
    FOR EACH ROW EXECUTE FUNCTION portal_approval_four_eyes();
CREATE FUNCTION portal_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER approval_append_only BEFORE UPDATE OR DELETE ON portal_approval
    FOR EACH ROW EXECUTE FUNCTION portal_append_only();
"""

BACKWARD = """
DROP TRIGGER approval_append_only ON portal_approval;
DROP TRIGGER approval_four_eyes ON portal_approval;
DROP FUNCTION portal_append_only();
DROP FUNCTION portal_approval_four_eyes();
"""


class Migration(migrations.Migration):
    dependencies = [("portal", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
