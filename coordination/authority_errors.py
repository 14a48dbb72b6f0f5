"""Why the team's authority does not do what is asked, in words with the next step."""

from pathlib import Path

from alerting.alert import Sentence
from coordination.errors import CoordinationError


class AuthorityError(CoordinationError):
    """The authority's folder cannot be used, or a request is not one that it signs."""


def refused(en: str, fr: str) -> AuthorityError:
    """Return why a request is not signed."""
    return AuthorityError(
        Sentence(fr=f"La demande de certificat est refusée : {fr}.", en=f"The certificate request is refused: {en}."),
        hint=Sentence(fr="La refaire sur la machine concernée.", en="Make it again on the machine that it is for."),
    )


def taken(folder: Path) -> AuthorityError:
    """Return why no authority is made where something is already."""
    return AuthorityError(
        Sentence(
            fr=f"{folder} existe déjà, et une autorité n'est jamais remplacée.",
            en=f"{folder} exists already, and an authority is never replaced.",
        ),
        hint=Sentence(fr="La garder, ou choisir un autre dossier.", en="Keep it, or choose another folder."),
    )


def unusable(folder: Path, error: OSError) -> AuthorityError:
    """Return why the folder cannot be used."""
    return AuthorityError(
        Sentence(
            fr=f"L'autorité {folder} ne peut pas servir ({error.strerror}).",
            en=f"The authority {folder} cannot be used ({error.strerror}).",
        ),
        hint=Sentence(
            fr="Vérifier 'enrolment.authority' dans desk.toml ; 'veilleur-desk createca' en fait une.",
            en="Check 'enrolment.authority' in desk.toml; 'veilleur-desk createca' makes one.",
        ),
    )


def damaged(path: Path) -> AuthorityError:
    """Return why a file is not believed."""
    return AuthorityError(
        Sentence(
            fr=f"{path} est abîmé ou vient d'une autre autorité.", en=f"{path} is damaged or another authority's."
        ),
        hint=Sentence(fr="Le restaurer depuis la sauvegarde.", en="Restore it from the backup."),
    )


def open_to_others(key: Path) -> AuthorityError:
    """Return why a key that others can read is refused."""
    return AuthorityError(
        Sentence(
            fr=f"La clé de l'autorité {key} est lisible par d'autres.",
            en=f"The authority's key {key} can be read by others.",
        ),
        hint=Sentence(
            fr="Si personne n'a pu la copier, faire 'chmod 600' ; sinon remplacer l'autorité.",
            en="If nobody can have copied it, run 'chmod 600' on it; otherwise replace the authority.",
        ),
    )


def no_box(name: str, programs: tuple[str, ...]) -> AuthorityError:
    """Return why a name cannot be a box's."""
    return AuthorityError(
        Sentence(fr=f"« {name} » ne peut pas être un boîtier.", en=f"'{name}' cannot be a box."),
        hint=Sentence(
            fr=f"3 à 48 caractères a-z, 0-9 et -, qui ne commencent pas par {' ni '.join(programs)}.",
            en=f"Use 3 to 48 of a-z, 0-9 and -, not beginning with {' or '.join(programs)}.",
        ),
    )


def no_program(name: str, programs: tuple[str, ...]) -> AuthorityError:
    """Return why a name cannot be one of the team's programs'."""
    return AuthorityError(
        Sentence(fr=f"« {name} » ne peut pas être un programme.", en=f"'{name}' cannot be a program."),
        hint=Sentence(
            fr=f"Un nom de a-z, 0-9 et -, qui commence par {' ou '.join(programs)}.",
            en=f"Use a name of a-z, 0-9 and - that begins with {' or '.join(programs)}.",
        ),
    )
