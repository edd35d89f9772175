"""Asks Python's cryptography whether certificates verify.

Each line of standard input is a question: purpose, moment, name of the server, file of the leaf, files of the authorities.
Each line of standard output is an answer.
"""

import sys
import warnings
from datetime import datetime, timezone

from cryptography import x509
from cryptography.x509 import verification

# kubeadm 1.20 gave its authorities the serial number 0.
warnings.simplefilter("ignore")


def load(path):
    with open(path, "rb") as file:
        return x509.load_pem_x509_certificate(file.read())


def verify(purpose, moment, name, leaf, authorities):
    # A client of Kubernetes is named by its subject.
    leaves = verification.ExtensionPolicy.webpki_defaults_ee().may_be_present(
        x509.SubjectAlternativeName, verification.Criticality.AGNOSTIC, None
    )
    builder = (
        verification.PolicyBuilder()
        .store(verification.Store([load(path) for path in authorities]))
        .time(datetime.fromtimestamp(int(moment), timezone.utc).replace(tzinfo=None))
    )
    if purpose == "server":
        builder.build_server_verifier(x509.DNSName(name)).verify(load(leaf), [])
    else:
        roots = verification.ExtensionPolicy.webpki_defaults_ca()
        builder = builder.extension_policies(ca_policy=roots, ee_policy=leaves)
        builder.build_client_verifier().verify(load(leaf), [])


for line in sys.stdin:
    purpose, moment, name, leaf, *authorities = line.split()
    try:
        verify(purpose, moment, name, leaf, authorities)
        print("accepted", flush=True)
    except verification.VerificationError as error:
        print("refused:", str(error).splitlines()[0], flush=True)
