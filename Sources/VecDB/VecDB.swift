// VecDB
