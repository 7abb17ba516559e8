from django.db import migrations

FROM_TRANSCRIPTS = """
UPDATE checks_check SET connect_ms = COALESCE((transcript_data->'timing'->>'dns')::float, 0)
    + COALESCE((transcript_data->'timing'->>'tcp')::float, 0)
    + COALESCE((transcript_data->'timing'->>'tls')::float, 0)
    + (transcript_data->'timing'->>'upgrade')::float
WHERE ok AND connect_ms IS NULL AND transcript_data->'timing'->>'upgrade' IS NOT NULL
"""


class Migration(migrations.Migration):

    dependencies = [
        ('checks', '0004_how_long_connecting_took'),
    ]

    operations = [
        migrations.RunSQL(FROM_TRANSCRIPTS, migrations.RunSQL.noop),
    ]
