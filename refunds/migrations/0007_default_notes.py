import uuid

from django.db import migrations

# Fixed ids: run again after being taken back, they are the same rows.
NOTES = (
    ("0192f0c2-0000-7000-8000-000000000001", "approve", "核对无误，同意退款"),
    ("0192f0c2-0000-7000-8000-000000000002", "approve", "医生停诊或改期，同意退款"),
    ("0192f0c2-0000-7000-8000-000000000003", "approve", "处方缺药，同意退还差额"),
    ("0192f0c2-0000-7000-8000-000000000004", "reject", "服务已完成，不符合退款规则"),
    ("0192f0c2-0000-7000-8000-000000000005", "reject", "超出规则可退金额，请按规则金额重新申请"),
    ("0192f0c2-0000-7000-8000-000000000006", "reject", "重复申请，已在另一笔退款中处理"),
)


def insert_notes(apps, schema_editor):
    model = apps.get_model("refunds", "RefundNote")
    for position, (key, decision, text) in enumerate(NOTES, start=1):
        model.objects.get_or_create(
            id=uuid.UUID(key),
            defaults={"decision": decision, "text": text, "position": position * 10},
        )


def remove_notes(apps, schema_editor):
    keys = [uuid.UUID(key) for key, _decision, _text in NOTES]
    apps.get_model("refunds", "RefundNote").objects.filter(id__in=keys).delete()


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0006_refund_policy_rules'),
    ]

    operations = [
        migrations.RunPython(insert_notes, remove_notes),
    ]
