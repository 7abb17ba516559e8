from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("portal", "0002_four_eyes")]

    operations = [
        migrations.AddField("endpointrequest", "follow_again_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("endpointrequest", "follow_fault", models.CharField(blank=True, max_length=100)),
    ]
