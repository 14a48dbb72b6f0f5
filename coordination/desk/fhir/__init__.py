"""FHIR R4 for other systems: what the team has, read and searched, in HL7's words. Nothing is written through it.

`catalogue` is the table of what there is; `capability` says it to whoever asks; `query` reads what was asked, strictly;
the other rooms each make resources of rows. Values are exact decimals, times carry the offset of the patient's zone.
"""
