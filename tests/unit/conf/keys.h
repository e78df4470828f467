/* Keys as wg genkey prints them; nobody's. */
#pragma once

#define KEY_A "QEWpd3Rcz6QM2kPKBSmyiAwo1yfDf1LQpgr4CpMX/Hs="
#define KEY_B "oB6UzERZwqWTx5yZT5G3lCJJVLj5ap+E46Pu4VXmZkU="
#define KEY_C "8Ncn4QyWWZyGRyPmdvyEHIJ3IgaQTOpTNhEO2Gbr2Xc="
#define KEY_D "2Ncn4QyWWZyGRyPmdvyEHIJ3IgaQTOpTNhEO2Gbr2Xc="
