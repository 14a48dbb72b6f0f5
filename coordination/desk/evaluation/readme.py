"""The README of an export, made of the dictionary: what each table is, and every formula."""

from datetime import date

from coordination.desk.evaluation.dictionary import DENSE_S, ENOUGH_PERCENT, TABLES

_BEGIN = """# Veilleur : export d'évaluation / evaluation export

Du {since} (compris) au {until} (non compris), fait le {made}.
From {since} (included) to {until} (not included), made {made}.

**Données de santé pseudonymisées, pas anonymes.** Les pseudonymes sont faits pour cet export (ou pour les exports que
l'équipe a voulu relier) ; les dates et heures sont vraies. Ne pas publier, ne pas croiser avec d'autres sources.
**Pseudonymised health data, not anonymous.** Pseudonyms are made for this export (or for those that the team wanted
linked); dates and times are true. Do not publish, do not match with other sources.

Une alerte n'est pas un diagnostic, et ce logiciel n'est pas un dispositif médical certifié. / An alert is no diagnosis,
and this software is no certified medical device.

- Jours : ceux du fuseau de chaque patient ; alertes et boîtiers : jours UTC. / Days: of each patient's time zone; of
  alerts and boxes: UTC days.
- Temps : UTC, à la seconde, coupés et non arrondis. Délais : secondes entières entre deux temps écrits ici. / Times:
  UTC, to the second, cut. Delays: whole seconds between two times as written here.
- Une mesure *jugeable* a une validité valid, underflow ou overflow. / A reading that *can be judged* is valid,
  underflow or overflow.
- Une grandeur est *dense* si sa cadence est de {dense} s au plus ; un jour compte alors si {enough} % de ce qui était
  attendu est là, sinon dès une mesure. / A quantity is *dense* when its cadence is {dense} s at most; a day then counts
  when {enough} % of what was expected is there, otherwise with one reading.
- Parts : quatre décimales, arrondi au pair. Vide : ne se calcule pas, ou n'a pas eu lieu. / Shares: four decimals,
  rounded half to even. Empty: cannot be computed, or did not happen.
- Les alertes retirées (retracted) sont dans `alerts` et comptées à part dans `outcomes`. / Alerts taken back
  (retracted) are in `alerts`, and counted apart in `outcomes`.
- Un texte qui commencerait comme une formule de tableur est précédé d'une apostrophe. / A text that would begin like a
  spreadsheet's formula has an apostrophe before it.

`manifest.json` donne l'empreinte de chaque fichier, `dictionary.csv` toutes les colonnes. / `manifest.json` has the
hash of every file, `dictionary.csv` every column.
"""
_HEAD = "| column | unit | fr | en | = |\n|---|---|---|---|---|\n"


def readme(since: date, until: date, made: str) -> str:
    """Return the README of an export of these days, made at `made`."""
    parts = [_BEGIN.format(since=since, until=until, made=made, dense=DENSE_S, enough=ENOUGH_PERCENT)]
    for table in TABLES:
        parts.append(f"\n## {table.name}\n\n{table.fr} / {table.en}\n\n{_HEAD}")
        parts += [
            f"| `{one.name}` | {one.unit} | {one.fr} | {one.en} | {f'`{one.formula}`' if one.formula else ''} |\n"
            for one in table.columns
        ]
    return "".join(parts)
