import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('checks', '0005_connect_times_of_earlier_checks'),
        ('provisioning', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='PrivacyAudit',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('stream', models.CharField(blank=True, max_length=60)),
                ('requested_by', models.CharField(blank=True, max_length=150)),
                ('asked_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('made_at', models.DateTimeField(blank=True, null=True)),
                ('outcome', models.CharField(blank=True, choices=[('pass', 'private'), ('fail', 'not private'), ('unknown', 'not known')], max_length=8)),
                ('document', models.JSONField(default=dict)),
                ('digest', models.CharField(blank=True, max_length=64)),
                ('signature', models.JSONField(default=dict)),
                ('unsigned_because', models.CharField(blank=True, max_length=200)),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='privacy_audits', to='provisioning.endpoint')),
            ],
            options={
                'indexes': [models.Index(fields=['endpoint', '-asked_at'], name='privacy_audit_by_endpoint'), models.Index(condition=models.Q(('made_at__isnull', True)), fields=['due_at'], name='privacy_audit_due')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('made_at__isnull', True)), fields=('endpoint',), name='privacy_audit_one_at_a_time')],
            },
        ),
    ]
