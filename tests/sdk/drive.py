"""Drives a running server with the official pinterest-api-sdk, unchanged; prints what it saw as JSON.

Run with the SDK's own interpreter, PINTEREST_API_URI and PINTEREST_ACCESS_TOKEN set:
    .venv-sdk/bin/python tests/sdk/drive.py AD_ACCOUNT_ID TAG_ID
"""

import json
import sys
import time

from openapi_generated.pinterest_client.exceptions import ApiException, NotFoundException
from pinterest.ads.audiences import Audience
from pinterest.ads.conversion_events import Conversion
from pinterest.ads.conversion_tags import ConversionTag
from pinterest.ads.customer_lists import CustomerList

HASH = "411e44ce1261728ffd2c0686e44e3fffe413c0e2c5adc498bc7da883d476b9c8"


def audiences(account, tag):
    made = Audience.create(
        ad_account_id=account,
        name="Product viewers",
        rule={"visitor_source_id": tag, "event": "pagevisit", "retention_days": 30},
        audience_type="VISITOR",
    )
    made.update_fields(name="Product viewers, 30 days")
    engaged = Audience.create(
        ad_account_id=account,
        name="Engaged",
        rule={"engagement_domain": ["shop.example"], "engager_type": 1, "engagement_type": "save"},
        audience_type="ENGAGEMENT",
        description="saved",
    )
    first, bookmark = Audience.get_all(ad_account_id=account, page_size=1)
    second = bookmark.get_next()[0] if bookmark else []
    return {
        "id": made.id,
        "name": made.name,
        "type": made.type,
        "status": made.status,
        "rule": made.rule.to_dict(),
        "size": made.size,
        "engaged": engaged.rule.to_dict(),
        "listed": [one.name for one in [*first, *second]],
        "descending": [one.id for one in Audience.get_all(ad_account_id=account, order="DESCENDING")[0]],
    }


def customer_lists(account):
    made = CustomerList.create(
        ad_account_id=account, name="Leads", records="ann@mail.example,bob@mail.example", list_type="EMAIL"
    )
    made.update_fields(operation_type="ADD", records=HASH)
    made.update_fields(operation_type="REMOVE", records="bob@mail.example")
    held = Audience.create(
        ad_account_id=account, name="Held", rule={"customer_list_id": made.id}, audience_type="CUSTOMER_LIST"
    )
    again = CustomerList(account, made.id)
    return {
        "id": again.id,
        "uploaded": again.num_uploaded_user_records,
        "removed": again.num_removed_user_records,
        "batches": again.num_batches,
        "status": again.status,
        "listed": [one.name for one in CustomerList.get_all(ad_account_id=account)[0]],
        "audience": held.rule.to_dict(),
    }


def conversion_tags(account, tag):
    made = ConversionTag.create(ad_account_id=account, name="Second tag", aem_enabled=True, md_frequency=0.6)
    return {
        "first": ConversionTag(ad_account_id=account, conversion_tag_id=tag).status,
        "id": made.id,
        "name": made.name,
        "snippet": made.code_snippet,
        "listed": [one.id for one in ConversionTag.get_all(ad_account_id=account)],
    }


def event(number, **changes):
    fields = {
        "event_name": "checkout",
        "action_source": "web",
        "event_time": int(time.time()) - 60,
        "event_id": f"order-{number}",
        "user_data": {"em": [HASH], "external_id": [HASH], "click_id": "dj0yJnU9"},
        "custom_data": {"value": "72.39", "currency": "EUR", "order_id": f"o-{number}"},
        "event_source_url": "https://shop.example/thanks",
    }
    return Conversion.create_conversion_event(**{**fields, **changes})


def conversions(account):
    def send(events, test):
        return Conversion.send_conversion_events(account, events, test=test).to_dict()

    future = event(3, event_time=int(time.time()) + 86_400)
    return {
        "test": send([event(1)], True),
        "real": send([event(1), event(2, event_name="my_own_event")], False),
        "mixed": send([event(4), future], False),
    }


def errors(account):
    found = {}
    try:
        Audience(ad_account_id=account, audience_id="2542999999999")
    except NotFoundException as error:
        found["missing"] = [error.status, json.loads(error.body)]
    try:
        Audience.create(
            ad_account_id=account, name="x", audience_type="VISITOR", rule={"retention_days": 541}
        )
    except ApiException as error:
        found["invalid"] = [error.status, json.loads(error.body)]
    return found


def main():
    account, tag = sys.argv[1:3]
    seen = {
        "audiences": audiences(account, tag),
        "customer_lists": customer_lists(account),
        "conversion_tags": conversion_tags(account, tag),
        "conversions": conversions(account),
        "errors": errors(account),
    }
    print(json.dumps(seen, default=str))


main()
