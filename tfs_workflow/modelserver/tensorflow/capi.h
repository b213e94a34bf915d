// What we use of TensorFlow's C API (tensorflow/c/c_api.h, tf_tensor.h, tf_tstring.h); tools/compile_capi.py compiles it.
typedef struct TF_Status TF_Status;
typedef struct TF_Graph TF_Graph;
typedef struct TF_Session TF_Session;
typedef struct TF_DeprecatedSession TF_DeprecatedSession;
typedef struct TF_SessionOptions TF_SessionOptions;
typedef struct TF_Operation TF_Operation;
typedef struct TF_Tensor TF_Tensor;
typedef struct TF_Buffer { const void* data; size_t length; void* data_deallocator; } TF_Buffer;
typedef struct TF_Output { TF_Operation* oper; int index; } TF_Output;
typedef struct TF_TString { uint64_t words[3]; } TF_TString;

const char* TF_Version(void);
TF_Status* TF_NewStatus(void);
void TF_SetStatus(TF_Status*, int, const char*);
int TF_GetCode(const TF_Status*);
const char* TF_Message(const TF_Status*);
TF_Buffer* TF_NewBuffer(void);
void TF_DeleteBuffer(TF_Buffer*);
TF_SessionOptions* TF_NewSessionOptions(void);
void TF_SetConfig(TF_SessionOptions*, const void*, size_t, TF_Status*);
void TF_DeleteSessionOptions(TF_SessionOptions*);
TF_Graph* TF_NewGraph(void);
void TF_DeleteGraph(TF_Graph*);
TF_Operation* TF_GraphOperationByName(TF_Graph*, const char*);
int TF_OperationNumOutputs(TF_Operation*);
int TF_OperationOutputType(TF_Output);
TF_Session* TF_LoadSessionFromSavedModel(const TF_SessionOptions*, const TF_Buffer*, const char*,
    const char* const*, int, TF_Graph*, TF_Buffer*, TF_Status*);
void TF_CloseSession(TF_Session*, TF_Status*);
void TF_DeleteSession(TF_Session*, TF_Status*);
void TF_SessionRun(TF_Session*, const TF_Buffer*, const TF_Output*, TF_Tensor* const*, int, const TF_Output*,
    TF_Tensor**, int, const TF_Operation* const*, int, TF_Buffer*, TF_Status*);
TF_DeprecatedSession* TF_NewDeprecatedSession(const TF_SessionOptions*, TF_Status*);
void TF_CloseDeprecatedSession(TF_DeprecatedSession*, TF_Status*);
void TF_DeleteDeprecatedSession(TF_DeprecatedSession*, TF_Status*);
void TF_ExtendGraph(TF_DeprecatedSession*, const void*, size_t, TF_Status*);
void TF_Run(TF_DeprecatedSession*, const TF_Buffer*, const char**, TF_Tensor* const*, int, const char**, TF_Tensor**, int,
    const char**, int, TF_Buffer*, TF_Status*);
TF_Tensor* TF_AllocateTensor(int, const int64_t*, int, size_t);
TF_Tensor* TF_NewTensor(int, const int64_t*, int, void*, size_t, void (*)(void*, size_t, void*), void*);
void TF_DeleteTensor(TF_Tensor*);
TF_Tensor* TF_TensorMaybeMove(TF_Tensor*);
int TF_TensorType(const TF_Tensor*);
int TF_NumDims(const TF_Tensor*);
int64_t TF_Dim(const TF_Tensor*, int);
size_t TF_TensorByteSize(const TF_Tensor*);
void* TF_TensorData(const TF_Tensor*);
void TF_StringInit(TF_TString*);
void TF_StringCopy(TF_TString*, const char*, size_t);
const char* TF_StringGetDataPointer(const TF_TString*);
size_t TF_StringGetSize(const TF_TString*);
void TF_StringDealloc(TF_TString*);
// Of glibc, which the library depends on.
int malloc_trim(size_t);
