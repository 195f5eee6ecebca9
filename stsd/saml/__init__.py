"""SAML 2.0 assertions as AssumeRoleWithSAML takes them (spec 3.3): metadata, XML, signatures, what an assertion says.

    text ─ base64, gate, tree ─→ Opened ─ keys of the metadata ─→ Assertion ─ time, attributes ─→ a role session

Nothing is read but from the element that a verified signature covers, as the library gives it back. lxml and signxml
take tens of milliseconds to import, so this package is imported when the first provider or assertion is looked at.
"""
