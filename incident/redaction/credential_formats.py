"""Table of credential formats: prefix, alphabet, length, and where the vendor documents it.

A form is text with placeholders: ``ghp_<36 alnum>`` is ``ghp_`` and 36 letters or digits. Lengths
are those of the vendor's documentation or of the tokens that it issues; the search accepts half
of it and any more, since vendors lengthen tokens. Formats change: add a row, nothing else.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: The alphabets of placeholders, each as the inside of a character class.
ALPHABETS = {
    "digits": "0-9",
    "hex": "0-9a-fA-F",
    "upper": "A-Z0-9",
    "lower": "a-z0-9",
    "alnum": "A-Za-z0-9",
    "word": "A-Za-z0-9_",
    "token": "A-Za-z0-9_-",
    "dotted": "A-Za-z0-9_.-",
    "base64": "A-Za-z0-9+/=_-",
    "url": "A-Za-z0-9._~%+/=-",
}
_PLACEHOLDER = re.compile(r"<([0-9]+) ([a-z0-9]+)>")


class Piece(NamedTuple):
    """Characters of an alphabet.

    Attributes:
        length: How many.
        alphabet: Its name.
    """

    length: int
    alphabet: str


class CredentialFormat(NamedTuple):
    """A format that identifies a credential anywhere in a text.

    Attributes:
        name: Its name, unique in the table.
        parts: Literal text and pieces in turns; one at least is text.
        source: Where to look it up.
    """

    name: str
    parts: tuple[str | Piece, ...]
    source: str


_TABLE = """
adafruit-io-key               aio_<28 alnum>                            io.adafruit.com/api/docs
adobe-client-secret           p8e-<32 lower>                            developer.adobe.com
age-secret-key                AGE-SECRET-KEY-1<58 upper>                age-encryption.org/v1
age-pq-secret-key             AGE-SECRET-KEY-PQ-1<58 upper>             age-encryption.org/v1
aikido-client-secret          AIK_SECRET_<64 alnum>                     apidocs.aikido.dev
airtable-pat                  pat<14 alnum>.<64 hex>  airtable.com/developers/web/api/authentication
aiven-token  aivenv1<64 base64>  aiven.io/docs/platform/howto/create_authentication_token
alibaba-access-key-id         LTAI<12 alnum>                            alibabacloud.com/help/ram
alibaba-sts-key-id            STS.<24 alnum>                            alibabacloud.com/help/ram
anthropic-key                 sk-ant-api03-<93 token>                   docs.anthropic.com/en/api
anthropic-admin-key           sk-ant-admin01-<93 token>                 docs.anthropic.com/en/api
anthropic-oauth               sk-ant-oat01-<93 token>                   docs.anthropic.com/en/api
anthropic-session             sk-ant-sid01-<93 token>                   docs.anthropic.com/en/api
apify-token                   apify_api_<36 alnum>  docs.apify.com/platform/integrations/api
artifactory-api-key           AKCp<69 alnum>                            jfrog.com/help (API key)
artifactory-reference-token   cmVmdGtuO<55 alnum>  jfrog.com/help (reference token)
asana-pat-v1  1/<16 digits>:<32 hex>  developers.asana.com/docs/personal-access-token
asana-pat-v2  2/<16 digits>/<16 digits>:<32 hex>  developers.asana.com/docs/personal-access-token
atlassian-api-token           ATATT3<180 base64>                        developer.atlassian.com
atlassian-cloud-token         ATCTT3<180 base64>                        developer.atlassian.com
atlassian-user-token          ATSTT3<180 base64>                        developer.atlassian.com
atlassian-app-password        ATBB<32 alnum>  support.atlassian.com/bitbucket-cloud (app passwords)
authress-key  ext_<6 alnum>.<4 alnum>.acc_<10 alnum>.<30 base64>  authress.io/knowledge-base
authress-service-key  sc_<6 alnum>.<4 alnum>.acc_<10 alnum>.<30 base64>  authress.io/knowledge-base
aws-access-key-id             AKIA<16 upper>  docs.aws.amazon.com/IAM (unique identifiers)
aws-session-key-id            ASIA<16 upper>  docs.aws.amazon.com/IAM (unique identifiers)
aws-bearer-token-id           ABIA<16 upper>  docs.aws.amazon.com/IAM (unique identifiers)
aws-context-credential-id     ACCA<16 upper>  docs.aws.amazon.com/IAM (unique identifiers)
aws-bedrock-key               ABSK<128 base64>  docs.aws.amazon.com/bedrock (API keys)
aws-bedrock-session-key       bedrock-api-key-<100 base64>  docs.aws.amazon.com/bedrock (API keys)
aws-session-token             IQoJb3JpZ2lu<200 base64>                  docs.aws.amazon.com/STS
aws-session-token-older       FwoGZXIvYXdz<200 base64>                  docs.aws.amazon.com/STS
azure-ad-client-secret        <3 token>8Q~<34 url>  learn.microsoft.com/entra (application secrets)
azure-ad-client-secret-7      <3 token>7Q~<34 url>  learn.microsoft.com/entra (application secrets)
azure-storage-key  <76 base64>+ASt<6 base64>==  learn.microsoft.com/azure/storage (account keys)
azure-batch-key               <76 base64>+ABa<6 base64>==  learn.microsoft.com/azure/batch
azure-cosmos-key              <76 base64>ACDb<6 base64>==  learn.microsoft.com/azure/cosmos-db
azure-service-bus-key  <33 base64>+ASb<6 base64>=  learn.microsoft.com/azure/service-bus-messaging
azure-event-hub-key           <33 base64>+AEh<6 base64>=  learn.microsoft.com/azure/event-hubs
azure-iot-key                 <33 base64>AIoT<6 base64>=  learn.microsoft.com/azure/iot-hub
azure-container-registry      <42 base64>+ACR<6 alnum>  learn.microsoft.com/azure/container-registry
azure-function-key            <44 base64>AzFu<6 base64>==  learn.microsoft.com/azure/azure-functions
azure-search-key              <42 alnum>AzSe<6 alnum>  learn.microsoft.com/azure/search
azure-apim-key                <42 base64>APIM<6 base64>==  learn.microsoft.com/azure/api-management
azure-ml-key                  <42 base64>+AMl<6 base64>=  learn.microsoft.com/azure/machine-learning
azure-devops-pat  <76 alnum>AZDO<4 alnum>  learn.microsoft.com/azure/devops (personal access tokens)
azure-common-key  <52 alnum>JQQJ99<26 base64>  learn.microsoft.com/azure
azure-ai-key                  <52 alnum>AAAAAC<22 base64>  learn.microsoft.com/azure/ai-services
beamer-token                  b_<44 token>                              www.getbeamer.com/api
brave-search-key              BSA<27 token>  api-dashboard.search.brave.com
brevo-api-key                 xkeysib-<64 hex>-<16 alnum>               developers.brevo.com/docs
brevo-smtp-key                xsmtpsib-<64 hex>-<16 alnum>              developers.brevo.com/docs
buildkite-agent-token         bkct_<40 alnum>  buildkite.com/docs/agent/tokens
buildkite-user-token          bkua_<40 hex>  buildkite.com/docs/apis/managing-api-tokens
buildkite-job-token           bkaj_<40 alnum>  buildkite.com/docs/agent/tokens
canva-secret                  cnvca<48 token>                           www.canva.dev/docs/connect
cfx-key                       cfxk_<27 word>                            docs.fivem.net
cerebras-key                  csk-<48 lower>                            inference-docs.cerebras.ai
chief-tools-token             ctp_<36 alnum>                            account.chief.app
circleci-pat                  CCIPAT_<22 alnum>_<40 hex>  circleci.com/docs/managing-api-tokens
circleci-project-token        CCIPRJ_<22 alnum>_<40 hex>  circleci.com/docs/managing-api-tokens
clickhouse-cloud-secret       4b1d<38 alnum>  clickhouse.com/docs/cloud/manage/openapi
clickup-pat                   pk_<8 digits>_<32 upper>  developer.clickup.com/docs/authentication
clojars-token                 CLOJARS_<60 hex>  github.com/clojars/clojars-web/wiki/Deploy-Tokens
cloudflare-origin-ca-key      v1.0-<24 hex>-<146 hex>  developers.cloudflare.com/fundamentals/api
cloudflare-user-token         cfut_<40 token>  developers.cloudflare.com/fundamentals/api
cloudflare-account-token      cfat_<40 token>  developers.cloudflare.com/fundamentals/api
cloudflare-global-key         cfk_<40 token>  developers.cloudflare.com/fundamentals/api
cloudinary-url                cloudinary://<15 digits>:<27 token>       cloudinary.com/documentation
contentful-management         CFPAT-<43 token>  www.contentful.com/developers/docs
contentstack-management       cs<32 hex>                                www.contentstack.com/docs
coveo-key                     xx<8 hex>-<4 hex>-<4 hex>-<4 hex>-<12 hex>  docs.coveo.com
crates-io-token               cio<32 alnum>  doc.rust-lang.org/cargo/reference/publishing.html
cratesio-trusted-token        cio_tp_<32 alnum>  crates.io/docs/trusted-publishing
cursor-key                    key_<64 hex>                              docs.cursor.com
databricks-pat                dapi<32 hex>  docs.databricks.com/dev-tools/auth/pat
databricks-oauth-secret       dose<32 hex>  docs.databricks.com/dev-tools/auth
databricks-service-token      dkea<32 hex>  docs.databricks.com/dev-tools/auth
databricks-pipeline-token     dsapi<32 hex>  docs.databricks.com/dev-tools/auth
datadog-rum-token             pub<32 hex>  docs.datadoghq.com/account_management/api-app-keys
datadog-pat                   ddpat_<22 alnum>_<34 alnum>  docs.datadoghq.com/account_management
datadog-application-key       ddapp_<34 alnum>  docs.datadoghq.com/account_management/api-app-keys
defined-networking            dnkey-<26 token>-<52 token>               docs.defined.net
deno-deploy-token             ddp_<36 alnum>                            docs.deno.com/deploy
deno-org-token                ddo_<36 alnum>                            docs.deno.com/deploy
digitalocean-pat              dop_v1_<64 hex>  docs.digitalocean.com/reference/api
digitalocean-oauth            doo_v1_<64 hex>  docs.digitalocean.com/reference/api
digitalocean-refresh          dor_v1_<64 hex>  docs.digitalocean.com/reference/api
digitalocean-spaces-key       DO00<16 upper>  docs.digitalocean.com/products/spaces
discord-bot-token-m  M<23 alnum>.<6 token>.<27 token>  discord.com/developers/docs/reference
discord-bot-token-n  N<23 alnum>.<6 token>.<27 token>  discord.com/developers/docs/reference
discord-bot-token-o  O<23 alnum>.<6 token>.<27 token>  discord.com/developers/docs/reference
discord-mfa-token             mfa.<84 token>  discord.com/developers/docs/reference
docker-pat                    dckr_pat_<27 token>  docs.docker.com/security/access-tokens
docker-org-token              dckr_oat_<32 token>  docs.docker.com/security/access-tokens
docker-swarm-join  SWMTKN-1-<50 lower>-<25 lower>  docs.docker.com/engine/swarm/join-nodes
docker-swarm-unlock  SWMKEY-1-<43 base64>  docs.docker.com/engine/swarm/swarm_manager_locking
doppler-personal              dp.pt.<43 alnum>  docs.doppler.com/reference/auth-token-formats
doppler-service               dp.st.<43 alnum>  docs.doppler.com/reference/auth-token-formats
doppler-service-config  dp.st.<7 lower>.<43 alnum>  docs.doppler.com/reference/auth-token-formats
doppler-cli                   dp.ct.<43 alnum>  docs.doppler.com/reference/auth-token-formats
doppler-service-account       dp.sa.<43 alnum>  docs.doppler.com/reference/auth-token-formats
doppler-scim                  dp.scim.<43 alnum>  docs.doppler.com/reference/auth-token-formats
doppler-audit                 dp.audit.<43 alnum>  docs.doppler.com/reference/auth-token-formats
dropbox-short-lived           sl.<135 token>                            www.dropbox.com/developers
dropbox-short-lived-u         sl.u.<135 token>                          www.dropbox.com/developers
duffel-live                   duffel_live_<43 token>                    duffel.com/docs/api
duffel-test                   duffel_test_<43 token>                    duffel.com/docs/api
dynatrace-token               dt0c01.<24 upper>.<64 upper>  docs.dynatrace.com (access tokens)
dynatrace-platform-token      dt0s16.<8 upper>.<64 upper>  docs.dynatrace.com (platform tokens)
dynatrace-oauth-secret        dt0s02.<8 upper>.<64 upper>  docs.dynatrace.com (OAuth clients)
dynatrace-installer           dt0a01.<8 upper>.<64 upper>  docs.dynatrace.com (access tokens)
easypost-key                  EZAK<54 alnum>                            docs.easypost.com
easypost-test-key             EZTK<54 alnum>                            docs.easypost.com
ebay-production-secret        PRD-<12 hex>-<4 hex>-<4 hex>-<4 hex>-<4 hex>  developer.ebay.com
ebay-sandbox-secret           SBX-<12 hex>-<4 hex>-<4 hex>-<4 hex>-<4 hex>  developer.ebay.com
ebay-user-token               v^1.1#i^1#<60 url>                        developer.ebay.com
elastic-cloud-key             essu_<60 base64>  www.elastic.co/guide/en/cloud
elevenlabs-key                sk_<48 hex>                               elevenlabs.io/docs
endor-key                     endr+<16 token>                           docs.endorlabs.com
facebook-access-token         EAACEdEose0cBA<100 alnum>                 developers.facebook.com/docs
facebook-page-token           EAAA<100 alnum>                           developers.facebook.com/docs
facebook-system-token         EAAM<100 alnum>                           developers.facebook.com/docs
fernet-ciphertext-token       gAAAAAB<80 base64>  cryptography.io/en/latest/fernet
figma-pat                     figd_<40 token>                           www.figma.com/developers/api
figma-oauth                   figu_<40 token>                           www.figma.com/developers/api
figma-refresh                 figur_<40 token>                          www.figma.com/developers/api
firebase-messaging-key        AAAA<7 token>:<140 token>  firebase.google.com/docs/cloud-messaging
fireworks-key                 fw_<24 alnum>                             docs.fireworks.ai
flutterwave-secret            FLWSECK-<32 hex>-X                        developer.flutterwave.com
flutterwave-test-secret       FLWSECK_TEST-<32 hex>-X                   developer.flutterwave.com
flutterwave-public            FLWPUBK_TEST-<32 hex>-X                   developer.flutterwave.com
fly-access-token              fo1_<43 token>                            fly.io/docs/security/tokens
fly-macaroon                  fm1_<100 base64>                          fly.io/docs/security/tokens
fly-macaroon-2                fm2_<100 base64>                          fly.io/docs/security/tokens
fly-macaroon-r                fm1r_<100 base64>                         fly.io/docs/security/tokens
frameio-token                 fio-u-<64 token>                          developer.frame.io/docs
friendli-token                flp_<46 alnum>                            friendli.ai/docs
fullstory-key                 na1.<100 base64>                          developer.fullstory.com
github-pat                    ghp_<36 alnum>  docs.github.com/authentication (token formats)
github-oauth                  gho_<36 alnum>  docs.github.com/authentication (token formats)
github-app-user               ghu_<36 alnum>  docs.github.com/authentication (token formats)
github-app-installation       ghs_<36 alnum>  docs.github.com/authentication (token formats)
github-refresh                ghr_<76 alnum>  docs.github.com/authentication (token formats)
github-fine-grained-pat  github_pat_<22 alnum>_<59 alnum>  docs.github.com/authentication
gitlab-pat                    glpat-<20 dotted>  docs.gitlab.com/security/tokens
gitlab-routable-pat           glpat-<27 token>.<9 token>  docs.gitlab.com/security/tokens
gitlab-deploy-token           gldt-<20 token>  docs.gitlab.com/security/tokens
gitlab-runner                 glrt-<20 token>  docs.gitlab.com/security/tokens
gitlab-runner-routable        glrt-t<1 digits>_<27 token>.<9 token>  docs.gitlab.com/security/tokens
gitlab-runner-registered      glrtr-<20 token>  docs.gitlab.com/security/tokens
gitlab-runner-registration    GR1348941<20 token>  docs.gitlab.com/security/tokens
gitlab-ci-job                 glcbt-<2 hex>_<20 token>  docs.gitlab.com/security/tokens
gitlab-trigger                glptt-<40 hex>  docs.gitlab.com/security/tokens
gitlab-feed                   glft-<20 token>  docs.gitlab.com/security/tokens
gitlab-incoming-mail          glimt-<25 token>  docs.gitlab.com/security/tokens
gitlab-agent                  glagent-<50 token>  docs.gitlab.com/security/tokens
gitlab-scim-oauth             glsoat-<20 token>  docs.gitlab.com/security/tokens
gitlab-oauth-secret           gloas-<64 hex>  docs.gitlab.com/security/tokens
gitlab-feature-flags          glffct-<20 token>  docs.gitlab.com/security/tokens
gitlab-workspace              glwt-<20 token>  docs.gitlab.com/security/tokens
gocardless-live               live_<40 token>                           developer.gocardless.com
google-api-key                AIza<35 token>  cloud.google.com/docs/authentication/api-keys
google-access-token           ya29.<40 dotted>  cloud.google.com/docs/authentication/token-types
google-refresh-token          1//0<28 token>  cloud.google.com/docs/authentication/token-types
google-authorization-code     4/0A<40 token>  developers.google.com/identity/protocols/oauth2
google-client-secret          GOCSPX-<28 token>  developers.google.com/identity/protocols/oauth2
google-hmac-access-id  GOOG1E<55 upper>  cloud.google.com/storage/docs/authentication/hmackeys
google-hmac-user-id           GOOG<20 upper>  cloud.google.com/storage/docs/authentication/hmackeys
google-recaptcha              6L<38 token>  cloud.google.com/recaptcha/docs
google-gemini-key             AQ.Ab<45 token>  ai.google.dev/gemini-api/docs/api-key
grafana-api-key               eyJrIjoi<70 base64>  grafana.com/docs/grafana (service accounts)
grafana-cloud-token           glc_<100 base64>  grafana.com/docs/grafana-cloud
grafana-service-account       glsa_<32 alnum>_<8 hex>  grafana.com/docs/grafana (service accounts)
groq-key                      gsk_<52 alnum>                            console.groq.com/docs
harness-pat                   pat.<22 token>.<24 alnum>.<20 alnum>      developer.harness.io
harness-service-token         sat.<22 token>.<24 alnum>.<20 alnum>      developer.harness.io
helicone-key                  sk-helicone-<28 token>                    docs.helicone.ai
heroku-key                    HRKU-<36 token>                           devcenter.heroku.com
hop-token                     ptk_<36 token>                            docs.hop.io
hubspot-private-app  pat-na1-<8 hex>-<4 hex>-<4 hex>-<4 hex>-<12 hex>  developers.hubspot.com/docs
hugging-face-token            hf_<34 alnum>  huggingface.co/docs/hub/security-tokens
hugging-face-org              api_org_<34 alnum>  huggingface.co/docs/hub/security-tokens
hugging-face-oauth            hf_oauth_<60 dotted>  huggingface.co/docs/hub/oauth
infracost-key                 ico-<32 alnum>                            www.infracost.io/docs
infisical-service-token       st.<24 hex>.<32 hex>.<32 hex>             infisical.com/docs
influxdb-3-token              apiv3_<80 token>                          docs.influxdata.com
intercom-token                dG9rO<54 base64>                          developers.intercom.com
intra42-secret                s-s4t2ud-<64 hex>                         api.intra.42.fr/apidoc
intra42-affiliate-secret      s-s4t2af-<64 hex>                         api.intra.42.fr/apidoc
ionic-pat                     ion_<42 alnum>                            ionic.io/docs
jina-key                      jina_<60 alnum>                           jina.ai/embeddings
langfuse-secret               sk-lf-<36 token>                          langfuse.com/docs
langfuse-public               pk-lf-<36 token>                          langfuse.com/docs
langsmith-pat                 lsv2_pt_<32 hex>_<10 hex>                 docs.smith.langchain.com
langsmith-service-key         lsv2_sk_<32 hex>_<10 hex>                 docs.smith.langchain.com
launchdarkly-api              api-<8 hex>-<4 hex>-<4 hex>-<4 hex>-<12 hex>  launchdarkly.com/docs
launchdarkly-sdk              sdk-<8 hex>-<4 hex>-<4 hex>-<4 hex>-<12 hex>  launchdarkly.com/docs
launchdarkly-mobile           mob-<8 hex>-<4 hex>-<4 hex>-<4 hex>-<12 hex>  launchdarkly.com/docs
lichess-pat                   lip_<20 alnum>                            lichess.org/api
lichess-oauth                 lio_<32 alnum>                            lichess.org/api
linear-key                    lin_api_<40 alnum>                        developers.linear.app
linear-oauth                  lin_oauth_<64 hex>                        developers.linear.app
linear-webhook                lin_wh_<40 alnum>                         developers.linear.app
lob-live                      live_pub_<31 hex>                         docs.lob.com
lob-test                      test_<35 hex>                             docs.lob.com
logfire-token                 pylf_v1_us_<43 alnum>                     logfire.pydantic.dev/docs
logfire-token-eu              pylf_v1_eu_<43 alnum>                     logfire.pydantic.dev/docs
mailchimp-key                 <32 hex>-us<1 digits>                     mailchimp.com/developer
mailersend-token              mlsn.<64 hex>                             developers.mailersend.com
mailgun-key                   key-<32 hex>                              documentation.mailgun.com
mandrill-key                  md-<22 token>  mailchimp.com/developer/transactional
mapbox-secret  sk.eyJ<60 token>.<22 token>  docs.mapbox.com/help/glossary/access-token
mapbox-public  pk.eyJ<60 token>.<22 token>  docs.mapbox.com/help/glossary/access-token
mapbox-temporary  tk.eyJ<60 token>.<22 token>  docs.mapbox.com/help/glossary/access-token
maxmind-license               <6 alnum>_<29 alnum>_mmk  support.maxmind.com (license keys)
mercadopago-token  APP_USR-<16 digits>-<6 digits>-<32 hex>  www.mercadopago.com/developers
mercury-token                 secret-token:mercury_production_<40 token>  docs.mercury.com
mergify-key                   mka_<60 token>                            docs.mergify.com
midtrans-key                  Mid-server-<24 token>                     docs.midtrans.com
midtrans-sandbox              SB-Mid-server-<24 token>                  docs.midtrans.com
modal-token-secret            as-<22 alnum>                             modal.com/docs
modal-token-id                ak-<22 alnum>                             modal.com/docs
mollie-live                   live_<30 alnum>                           docs.mollie.com
mollie-access                 access_<40 alnum>                         docs.mollie.com
mongodb-atlas-service         mdb_sa_sk_<40 token>                      www.mongodb.com/docs/atlas
neon-key                      napi_<64 lower>                           neon.com/docs
neon-password                 npg_<12 alnum>                            neon.com/docs
netlify-pat                   nfp_<36 alnum>  docs.netlify.com (access tokens)
netlify-cli                   nfc_<36 alnum>  docs.netlify.com (access tokens)
netlify-oauth                 nfo_<36 alnum>  docs.netlify.com (access tokens)
netlify-user                  nfu_<36 alnum>  docs.netlify.com (access tokens)
netlify-build                 nfb_<36 alnum>  docs.netlify.com (access tokens)
new-relic-user                NRAK-<27 upper>                           docs.newrelic.com (API keys)
new-relic-browser             NRJS-<19 hex>                             docs.newrelic.com (API keys)
new-relic-insert              NRII-<32 token>                           docs.newrelic.com (API keys)
new-relic-query               NRIQ-<32 token>                           docs.newrelic.com (API keys)
new-relic-rest                NRRA-<42 hex>                             docs.newrelic.com (API keys)
new-relic-admin               NRAA-<27 hex>                             docs.newrelic.com (API keys)
new-relic-synthetics          NRSP-<36 token>                           docs.newrelic.com (API keys)
new-relic-license             <32 hex>FFFFNRAL                          docs.newrelic.com (API keys)
new-relic-license-eu          eu01xx<26 hex>NRAL                        docs.newrelic.com (API keys)
nightfall-key                 NF-<32 alnum>                             help.nightfall.ai
nomic-key                     nk-<43 token>                             docs.nomic.ai
nats-seed-user                SU<56 upper>                              docs.nats.io (nkeys)
nats-seed-account             SA<56 upper>                              docs.nats.io (nkeys)
nats-seed-operator            SO<56 upper>                              docs.nats.io (nkeys)
notion-token                  ntn_<46 alnum>                            developers.notion.com
notion-secret                 secret_<43 alnum>                         developers.notion.com
npm-token                     npm_<36 alnum>  docs.npmjs.com (access tokens)
nuget-key                     oy2<43 lower>                             learn.microsoft.com/nuget
nvidia-key                    nvapi-<64 token>                          docs.api.nvidia.com
nylas-key                     nyk_v0_<64 alnum>                         developer.nylas.com
octopus-key                   API-<27 upper>                            octopus.com/docs
onepassword-secret-key  A3-<6 upper>-<11 upper>-<5 upper>-<5 upper>-<5 upper>  1password.com
onepassword-service-account   ops_eyJ<250 base64>                       developer.1password.com
onesignal-key                 os_v2_app_<70 lower>                      documentation.onesignal.com
onesignal-org-key             os_v2_org_<70 lower>                      documentation.onesignal.com
onfido-live                   api_live.<11 token>.<32 token>            documentation.onfido.com
openai-key                    sk-<20 alnum>T3BlbkFJ<20 alnum>           platform.openai.com/docs
openai-project-key            sk-proj-<74 token>T3BlbkFJ<74 token>      platform.openai.com/docs
openai-service-key            sk-svcacct-<74 token>T3BlbkFJ<74 token>   platform.openai.com/docs
openai-admin-key              sk-admin-<74 token>T3BlbkFJ<74 token>     platform.openai.com/docs
openai-plain-key              sk-<20 token>                             platform.openai.com/docs
openrouter-key                sk-or-v1-<64 hex>                         openrouter.ai/docs
openshift-token               sha256~<43 token>  docs.openshift.com (OAuth tokens)
orbit-token                   obu_<40 alnum>                            api.orbit.love
paddle-live                   pdl_live_apikey_<26 lower>_<22 alnum>_<3 alnum>  developer.paddle.com
paddle-sandbox                pdl_sdbx_apikey_<26 lower>_<22 alnum>_<3 alnum>  developer.paddle.com
paddle-webhook                pdl_ntfset_<26 lower>_<32 base64>         developer.paddle.com
pagerduty-key                 pdus+<20 token>                           developer.pagerduty.com
paypal-braintree-token  access_token$production$<16 lower>$<32 hex>  developer.paypal.com/braintree
paypal-braintree-sandbox  access_token$sandbox$<16 lower>$<32 hex>  developer.paypal.com/braintree
persona-live                  persona_production_<36 token>             docs.withpersona.com
perplexity-key                pplx-<48 alnum>                           docs.perplexity.ai
pinecone-key                  pcsk_<6 alnum>_<63 alnum>                 docs.pinecone.io
pinterest-access              pina_<32 token>                           developers.pinterest.com
pinterest-refresh             pinr.<60 base64>                          developers.pinterest.com
plaid-access-production       access-production-<36 token>              plaid.com/docs
plaid-access-sandbox          access-sandbox-<36 token>                 plaid.com/docs
plaid-access-development      access-development-<36 token>             plaid.com/docs
planetscale-password          pscale_pw_<43 dotted>                     planetscale.com/docs
planetscale-token             pscale_tkn_<43 dotted>                    planetscale.com/docs
planetscale-oauth             pscale_oauth_<43 dotted>                  planetscale.com/docs
polar-token                   polar_oat_<40 alnum>                      docs.polar.sh
polar-pat                     polar_pat_<40 alnum>                      docs.polar.sh
posthog-project               phc_<43 alnum>                            posthog.com/docs/api
posthog-personal              phx_<43 alnum>                            posthog.com/docs/api
postman-key                   PMAK-<24 hex>-<34 hex>                    learning.postman.com
postman-collection-key        PMAT-<26 upper>                           learning.postman.com
prefect-user                  pnu_<36 alnum>                            docs.prefect.io
prefect-bot                   pnb_<36 alnum>                            docs.prefect.io
pulumi-token                  pul-<40 hex>                              www.pulumi.com/docs
pypi-any-token                pypi-AgE<60 token>                        pypi.org/help/#apitoken
ramp-client-secret            ramp_sec_<48 alnum>                       docs.ramp.com
ramp-token                    ramp_tok_<48 alnum>                       docs.ramp.com
razorpay-live                 rzp_live_<14 alnum>                       razorpay.com/docs
razorpay-test                 rzp_test_<14 alnum>                       razorpay.com/docs
readme-key                    rdme_<70 lower>                           docs.readme.com
redirect-pizza                rpa_<64 hex>                              redirect.pizza/docs
render-key                    rnd_<28 alnum>                            render.com/docs/api
replicate-token               r8_<37 alnum>                             replicate.com/docs
resend-key                    re_<8 alnum>_<24 alnum>                   resend.com/docs
retool-key                    retool_<32 alnum>                         docs.retool.com
rootly-key                    rootly_<64 hex>                           rootly.com/api
rubygems-key                  rubygems_<48 hex>                         guides.rubygems.org
runpod-key                    rpa_<46 upper>                            docs.runpod.io
salad-key                     salad_cloud_user_<40 alnum>               docs.salad.com
salesforce-token              00D<12 alnum>!<96 dotted>  help.salesforce.com (session id)
salesforce-refresh            5Aep<82 dotted>                           help.salesforce.com
samsara-key                   samsara_api_<30 alnum>                    developers.samsara.com
scaleway-access-key           SCW<17 upper>                             www.scaleway.com/en/docs
scalingo-token                tk-us-<48 token>                          developers.scalingo.com
seam-key                      seam_<8 alnum>_<24 alnum>                 docs.seam.co
segment-public-token          sgp_<64 alnum>                            segment.com/docs
sendgrid-key                  SG.<22 token>.<43 token>                  docs.sendgrid.com
sentry-user-token             sntryu_<64 hex>                           docs.sentry.io (auth tokens)
sentry-org-token              sntrys_eyJ<80 base64>                     docs.sentry.io (auth tokens)
sentry-app-token              sntrya_<64 hex>                           docs.sentry.io (auth tokens)
sentry-integration-token      sntryi_<64 hex>                           docs.sentry.io (auth tokens)
settlemint-application        sm_aat_<16 alnum>  console.settlemint.com/documentation
settlemint-personal           sm_pat_<16 alnum>  console.settlemint.com/documentation
settlemint-service            sm_sat_<16 alnum>  console.settlemint.com/documentation
shippo-live                   shippo_live_<40 hex>                      docs.goshippo.com
shippo-test                   shippo_test_<40 hex>                      docs.goshippo.com
shopify-admin                 shpat_<32 hex>                            shopify.dev/docs
shopify-custom-app            shpca_<32 hex>                            shopify.dev/docs
shopify-private-app           shppa_<32 hex>                            shopify.dev/docs
shopify-shared-secret         shpss_<32 hex>                            shopify.dev/docs
shopify-partner               prtapi_<32 hex>                           shopify.dev/docs
shopify-theme                 shptka_<32 hex>                           shopify.dev/docs
slack-bot  xoxb-<12 digits>-<12 digits>-<24 alnum>  api.slack.com/authentication/token-types
slack-user  xoxp-<12 digits>-<12 digits>-<12 digits>-<32 hex>  api.slack.com
slack-browser-session  xoxc-<12 digits>-<12 digits>-<12 digits>-<64 hex>  api.slack.com
slack-browser-cookie          xoxd-<120 url>                            api.slack.com/authentication
slack-workspace  xoxa-2-<12 digits>-<12 digits>-<32 hex>  api.slack.com/authentication/token-types
slack-refresh  xoxr-<12 digits>-<12 digits>-<24 alnum>  api.slack.com/authentication/token-types
slack-legacy  xoxs-<12 digits>-<12 digits>-<12 digits>-<10 hex>  api.slack.com/legacy
slack-legacy-o                xoxo-<12 digits>-<12 digits>-<10 hex>     api.slack.com/legacy
slack-configuration           xoxe.xoxp-1-<160 alnum>  api.slack.com/authentication/config-tokens
slack-configuration-bot       xoxe.xoxb-1-<160 alnum>  api.slack.com/authentication/config-tokens
slack-configuration-refresh   xoxe-1-<146 alnum>  api.slack.com/authentication/config-tokens
slack-app  xapp-1-<11 upper>-<13 digits>-<64 hex>  api.slack.com/authentication/token-types
snyk-pat                      snyk_uat.<8 hex>.<100 token>              docs.snyk.io
sonar-user                    squ_<40 hex>  docs.sonarsource.com (tokens)
sonar-project                 sqp_<40 hex>  docs.sonarsource.com (tokens)
sonar-global                  sqa_<40 hex>  docs.sonarsource.com (tokens)
sonar-badge                   sqb_<40 hex>  docs.sonarsource.com (tokens)
sourcegraph-pat               sgp_<16 hex>_<40 hex>                     sourcegraph.com/docs
sourcegraph-local-pat         sgp_local_<40 hex>                        sourcegraph.com/docs
sourcegraph-dotcom            sgd_<64 hex>                              sourcegraph.com/docs
square-access                 EAAA<60 token>                            developer.squareup.com
square-access-older           sq0atp-<22 token>                         developer.squareup.com
square-secret                 sq0csp-<43 token>                         developer.squareup.com
square-sandbox                sandbox-sq0csb-<43 token>                 developer.squareup.com
square-id                     sq0idp-<22 token>                         developer.squareup.com
statsig-secret                secret-<32 alnum>                         docs.statsig.com
stripe-live                   sk_live_<24 alnum>                        docs.stripe.com/keys
stripe-test                   sk_test_<24 alnum>                        docs.stripe.com/keys
stripe-restricted-live        rk_live_<24 alnum>                        docs.stripe.com/keys
stripe-restricted-test        rk_test_<24 alnum>                        docs.stripe.com/keys
stripe-webhook                whsec_<32 base64>                         docs.stripe.com/webhooks
stripe-organization           sk_org_live_<60 alnum>                    docs.stripe.com/keys
stytch-live                   secret-live-<36 token>                    stytch.com/docs
stytch-test                   secret-test-<36 token>                    stytch.com/docs
supabase-pat                  sbp_<40 hex>                              supabase.com/docs
supabase-secret               sb_secret_<31 token>                      supabase.com/docs
supabase-pat-v0               sbp_v0_<40 hex>                           supabase.com/docs
tailscale-auth                tskey-auth-<17 alnum>-<32 alnum>  tailscale.com/kb/1277/key-prefixes
tailscale-api                 tskey-api-<17 alnum>-<32 alnum>  tailscale.com/kb/1277/key-prefixes
tailscale-client              tskey-client-<17 alnum>-<32 alnum>  tailscale.com/kb/1277/key-prefixes
tailscale-scim                tskey-scim-<17 alnum>-<32 alnum>  tailscale.com/kb/1277/key-prefixes
tailscale-webhook  tskey-webhook-<17 alnum>-<32 alnum>  tailscale.com/kb/1277/key-prefixes
tailscale-older               tskey-<12 alnum>-<22 alnum>  tailscale.com/kb/1277/key-prefixes
tavily-key                    tvly-<32 token>                           docs.tavily.com
telegram-bot                  <8 digits>:AA<33 token>                   core.telegram.org/bots/api
telnyx-key                    KEY01<30 alnum>_<22 alnum>                developers.telnyx.com
tencent-secret-id             AKID<32 alnum>                            cloud.tencent.com/document
terraform-cloud  <14 alnum>.atlasv1.<67 token>  developer.hashicorp.com/terraform (API tokens)
thunderstore-token            tss_<40 alnum>                            thunderstore.io/api/docs
together-key                  tgp_v1_<43 token>                         docs.together.ai
triggerdev-production         tr_prod_<20 alnum>                        trigger.dev/docs
triggerdev-development        tr_dev_<20 alnum>                         trigger.dev/docs
twilio-api-key                SK<32 hex>                                www.twilio.com/docs/iam
twilio-account-sid            AC<32 hex>                                www.twilio.com/docs/iam
twitter-bearer                AAAAAAAAAAAAAAAAAAAAA<80 url>             docs.x.com
typeform-token                tfp_<44 token>_<14 token>                 www.typeform.com/developers
ubidots-token                 BBFF-<30 alnum>                           docs.ubidots.com
ubidots-token-us              BBUS-<30 alnum>                           docs.ubidots.com
unkey-root                    unkey_<22 alnum>                          www.unkey.com/docs
uptimerobot-key               ur<7 digits>-<24 hex>                     uptimerobot.com/api
vault-service                 hvs.<90 token>  developer.hashicorp.com/vault/docs/concepts/tokens
vault-batch                   hvb.<138 token>  developer.hashicorp.com/vault/docs/concepts/tokens
vault-recovery                hvr.<90 token>  developer.hashicorp.com/vault/docs/concepts/tokens
vault-service-older           s.<24 alnum>  developer.hashicorp.com/vault/docs/concepts/tokens
vercel-personal               vcp_<56 alnum>  vercel.com/docs (token formats)
vercel-integration            vci_<56 alnum>  vercel.com/docs (token formats)
vercel-app                    vca_<56 alnum>  vercel.com/docs (token formats)
vercel-refresh                vcr_<56 alnum>  vercel.com/docs (token formats)
vercel-gateway                vck_<56 alnum>                            vercel.com/docs (AI gateway)
vercel-blob                   vercel_blob_rw_<16 alnum>_<30 alnum>      vercel.com/docs/vercel-blob
voyage-key                    pa-<43 token>                             docs.voyageai.com
wakatime-key                  waka_<36 token>                           wakatime.com/developers
weights-and-biases            wandb_v1_<77 word>                        docs.wandb.ai
xai-key                       xai-<80 alnum>                            docs.x.ai
xendit-production             xnd_production_<64 alnum>                 docs.xendit.co
xendit-development            xnd_development_<64 alnum>                docs.xendit.co
yandex-api-key                AQVN<36 token>                            yandex.cloud/docs/iam
yandex-iam-token              t1.<60 base64>.<86 base64>                yandex.cloud/docs/iam
yandex-static-key             YC<38 token>                              yandex.cloud/docs/iam
yandex-oauth                  y0_<55 token>                             yandex.cloud/docs/iam
zuplo-key                     zpka_<32 hex>_<8 hex>                     zuplo.com/docs
"""


def parse_form(form: str) -> tuple[str | Piece, ...]:
    """The parts of a form such as ``ghp_<36 alnum>``."""
    parts: list[str | Piece] = []
    done = 0
    for found in _PLACEHOLDER.finditer(form):
        if found.start() > done:
            parts.append(form[done : found.start()])
        parts.append(Piece(int(found[1]), found[2]))
        done = found.end()
    return (*parts, form[done:]) if done < len(form) else tuple(parts)


def _rows(table: str) -> tuple[CredentialFormat, ...]:
    rows = (re.split(r"\s{2,}", line, maxsplit=2) for line in table.strip().splitlines())
    return tuple(CredentialFormat(name, parse_form(form), source) for name, form, source in rows)


#: Credentials with a form of their own.
FORMATS = _rows(_TABLE)

# Values such as 32 hex digits, which only the variable's name distinguishes from a digest.
_NAMED_TABLE = """
ADYEN_API_KEY  <64 alnum>  docs.adyen.com
ALGOLIA_ADMIN_KEY  <32 hex>  www.algolia.com/doc
AMPLITUDE_SECRET_KEY  <32 hex>  amplitude.com/docs
APPSIGNAL_PUSH_API_KEY  <36 token>  docs.appsignal.com
ASANA_CLIENT_SECRET  <32 lower>  developers.asana.com
AUTH0_CLIENT_SECRET  <64 token>  auth0.com/docs
AWS_SECRET_ACCESS_KEY  <40 base64>  docs.aws.amazon.com/IAM
AWS_SESSION_TOKEN  <200 base64>  docs.aws.amazon.com/STS
AZURE_CLIENT_SECRET  <40 url>  learn.microsoft.com/entra
BITBUCKET_CLIENT_SECRET  <32 token>  support.atlassian.com/bitbucket-cloud
BITTREX_SECRET_KEY  <32 lower>  bittrex.github.io/api
BROWSERSTACK_ACCESS_KEY  <20 alnum>  www.browserstack.com/docs
BUGSNAG_API_KEY  <32 hex>  docs.bugsnag.com
CLOUDFLARE_API_TOKEN  <40 token>  developers.cloudflare.com/fundamentals/api
CLOUDFLARE_API_KEY  <37 hex>  developers.cloudflare.com/fundamentals/api
CODECOV_TOKEN  <36 token>  docs.codecov.com
COHERE_API_KEY  <40 alnum>  docs.cohere.com
COINBASE_ACCESS_TOKEN  <64 token>  docs.cdp.coinbase.com
CONFLUENT_SECRET_KEY  <64 base64>  docs.confluent.io
CONTENTFUL_ACCESS_TOKEN  <43 token>  www.contentful.com/developers
COSIGN_PASSWORD  <24 alnum>  docs.sigstore.dev
DATADOG_API_KEY  <32 hex>  docs.datadoghq.com
DD_APP_KEY  <40 hex>  docs.datadoghq.com
DEEPGRAM_API_KEY  <40 hex>  developers.deepgram.com
DJANGO_SECRET_KEY  <50 token>  docs.djangoproject.com
DRONE_TOKEN  <32 alnum>  docs.drone.io
ETSY_ACCESS_TOKEN  <24 lower>  developers.etsy.com
FASTLY_API_TOKEN  <32 token>  www.fastly.com/documentation
FINNHUB_TOKEN  <20 lower>  finnhub.io/docs
FLICKR_ACCESS_TOKEN  <32 lower>  www.flickr.com/services/api
FRESHBOOKS_ACCESS_TOKEN  <64 lower>  www.freshbooks.com/api
GITTER_ACCESS_TOKEN  <40 token>  developer.gitter.im
HEROKU_API_KEY  <36 token>  devcenter.heroku.com
HONEYCOMB_API_KEY  <32 alnum>  docs.honeycomb.io
JWT_SECRET  <48 base64>  datatracker.ietf.org/doc/html/rfc7519
KRAKEN_ACCESS_TOKEN  <84 base64>  docs.kraken.com
KUCOIN_SECRET_KEY  <36 token>  www.kucoin.com/docs
LARAVEL_APP_KEY  <44 base64>  laravel.com/docs
LASTPASS_PASSWORD  <20 alnum>  support.lastpass.com
LINKEDIN_CLIENT_SECRET  <16 alnum>  learn.microsoft.com/linkedin
LOGDNA_INGESTION_KEY  <32 hex>  docs.mezmo.com
LOGGLY_TOKEN  <36 token>  documentation.solarwinds.com
MAILJET_SECRET_KEY  <32 hex>  dev.mailjet.com
MATTERMOST_ACCESS_TOKEN  <26 lower>  developers.mattermost.com
MESSAGEBIRD_API_TOKEN  <25 lower>  developers.messagebird.com
MYSQL_ROOT_PASSWORD  <20 alnum>  hub.docker.com/_/mysql
NETLIFY_AUTH_TOKEN  <43 token>  docs.netlify.com
NPM_AUTH_TOKEN  <36 token>  docs.npmjs.com
OKTA_API_TOKEN  <42 token>  developer.okta.com/docs
OPSGENIE_API_KEY  <36 token>  docs.opsgenie.com
PAGERDUTY_TOKEN  <20 token>  developer.pagerduty.com
PGPASSWORD  <20 alnum>  www.postgresql.org/docs/current/libpq-envars.html
PLAID_SECRET  <30 hex>  plaid.com/docs
PUSHER_APP_SECRET  <20 hex>  pusher.com/docs
RABBITMQ_DEFAULT_PASS  <20 alnum>  www.rabbitmq.com/docs
RAPIDAPI_KEY  <50 alnum>  docs.rapidapi.com
ROLLBAR_ACCESS_TOKEN  <32 hex>  docs.rollbar.com
SECRET_KEY_BASE  <128 hex>  guides.rubyonrails.org
SENTRY_AUTH_TOKEN  <64 hex>  docs.sentry.io
SNYK_TOKEN  <36 token>  docs.snyk.io
SPOTIFY_CLIENT_SECRET  <32 hex>  developer.spotify.com
SUMOLOGIC_ACCESS_KEY  <64 alnum>  help.sumologic.com
TRAVIS_ACCESS_TOKEN  <22 alnum>  docs.travis-ci.com
TWILIO_AUTH_TOKEN  <32 hex>  www.twilio.com/docs
TWITCH_CLIENT_SECRET  <30 lower>  dev.twitch.tv/docs
TWITTER_ACCESS_SECRET  <45 alnum>  docs.x.com
VERCEL_TOKEN  <24 alnum>  vercel.com/docs
WANDB_API_KEY  <40 hex>  docs.wandb.ai
ZENDESK_SECRET_KEY  <40 lower>  developer.zendesk.com
ZOOM_CLIENT_SECRET  <32 alnum>  developers.zoom.us
"""

#: Credentials without one, by a name under which they are usually set.
NAMED_FORMATS = _rows(_NAMED_TABLE)
