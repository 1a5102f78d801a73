"""What the CRMs answer, in the shapes that their documentation shows.

Salesforce: https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_queryall.htm
HubSpot: https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide and .../crm/search
Dataverse: https://learn.microsoft.com/power-apps/developer/data-platform/use-change-tracking-synchronize-data-external-systems
"""

from __future__ import annotations

from typing import Any

ORG = "https://example.crm4.dynamics.com"


def salesforce(key: str, *, deleted: bool = False, account: str | None = "Partner AG", **values: Any) -> dict[str, Any]:
    url = f"/services/data/v59.0/sobjects/Contact/{key}"
    return {
        "attributes": {"type": "Contact", "url": url},
        "Id": key,
        "IsDeleted": deleted,
        "Name": "Paula Partner",
        "FirstName": "Paula",
        "LastName": "Partner",
        "Title": "CEO",
        "Department": None,
        "Email": "paula@partner.example",
        "MobilePhone": "+49 151 23456789",
        "Phone": "(030) 1234567",
        "MailingStreet": "Hauptstr. 1",
        "MailingCity": "Berlin",
        "MailingState": None,
        "MailingPostalCode": "10115",
        "MailingCountry": "Germany",
        "Account": {"attributes": {"type": "Account", "url": "/services/data/v59.0/sobjects/Account/001"}, "Name": account}
        if account
        else None,
        **values,
    }


def hubspot(key: str, *, archived_at: str | None = None, **values: Any) -> dict[str, Any]:
    properties = {
        "createdate": "2026-01-05T09:12:11.111Z",
        "lastmodifieddate": "2026-11-01T10:00:00.000Z",
        "hs_object_id": key,
        "firstname": "Paula",
        "lastname": "Partner",
        "company": "Partner AG",
        "jobtitle": "CEO",
        "email": "paula@partner.example",
        "mobilephone": "+49 151 23456789",
        "phone": "(030) 1234567",
        "address": "Hauptstr. 1",
        "city": "Berlin",
        "state": None,
        "zip": "10115",
        "country": "Germany",
        **values,
    }
    contact = {
        "id": key,
        "properties": properties,
        "createdAt": "2026-01-05T09:12:11.111Z",
        "updatedAt": "2026-11-01T10:00:00.000Z",
        "archived": archived_at is not None,
    }
    return {**contact, "archivedAt": archived_at} if archived_at else contact


def hubspot_page(*contacts: dict[str, Any], after: str | None = None, total: int | None = None) -> dict[str, Any]:
    page: dict[str, Any] = {"results": list(contacts)}
    if total is not None:
        page["total"] = total
    if after is not None:
        page["paging"] = {"next": {"after": after, "link": f"https://api.hubapi.com/crm/v3/objects/contacts?after={after}"}}
    return page


def dataverse(key: str, **values: Any) -> dict[str, Any]:
    return {
        "@odata.etag": 'W/"2751883"',
        "contactid": key,
        "statecode@OData.Community.Display.V1.FormattedValue": "Active",
        "statecode": 0,
        "fullname": "Paula Partner",
        "firstname": "Paula",
        "lastname": "Partner",
        "_parentcustomerid_value@OData.Community.Display.V1.FormattedValue": "Partner AG",
        "_parentcustomerid_value": "a16b3f4b-1be7-e611-8101-e0071b6af231",
        "department": None,
        "jobtitle": "CEO",
        "emailaddress1": "paula@partner.example",
        "mobilephone": "+49 151 23456789",
        "telephone1": "(030) 1234567",
        "address1_line1": "Hauptstr. 1",
        "address1_city": "Berlin",
        "address1_stateorprovince": None,
        "address1_postalcode": "10115",
        "address1_country": "Germany",
        **values,
    }


def dataverse_gone(key: str) -> dict[str, Any]:
    return {
        "@odata.context": f"{ORG}/api/data/v9.2/$metadata#contacts/$deletedEntity",
        "id": key,
        "reason": "deleted",
    }
