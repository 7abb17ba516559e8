"""Four eyes in the database: no decision by anyone who asked for, benefits from or ever edited the
request, and none on another plan. Decisions are append-only: UPDATE and DELETE are refused.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION requests_approval_four_eyes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked requests_endpointrequest%ROWTYPE;
BEGIN
    SELECT * INTO STRICT asked FROM requests_endpointrequest WHERE id = NEW.request_id FOR UPDATE;
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
CREATE TRIGGER approval_four_eyes BEFORE INSERT ON requests_approval
    FOR EACH ROW EXECUTE FUNCTION requests_approval_four_eyes();
CREATE FUNCTION requests_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER approval_append_only BEFORE UPDATE OR DELETE ON requests_approval
    FOR EACH ROW EXECUTE FUNCTION requests_append_only();
"""

BACKWARD = """
DROP TRIGGER approval_append_only ON requests_approval;
DROP TRIGGER approval_four_eyes ON requests_approval;
DROP FUNCTION requests_append_only();
DROP FUNCTION requests_approval_four_eyes();
"""


class Migration(migrations.Migration):
    dependencies = [("requests", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
