
recorded7
5type.googleapis.com/istio.networking.nds.v1.NameTable"5type.googleapis.com/istio.networking.nds.v1.NameTable