"""A tar's headers, read so that a cut or damaged archive is not taken for a whole one."""

import tarfile


class StrictTarInfo(tarfile.TarInfo):
    """A member's header; one that is damaged or missing is an error.

    tarfile takes such a header for the archive's end, and so a cut archive for a whole one.
    """

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "StrictTarInfo":
        """Read the next header.

        Raises:
            tarfile.ReadError: the archive ends early, or within it something else begins.
        """
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the end's own mark
            raise
        except tarfile.HeaderError as cause:
            raise tarfile.ReadError(str(cause)) from cause
